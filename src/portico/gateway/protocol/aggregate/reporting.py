"""What a view has, from where, and what is hidden in it, for the admin listener."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from portico.gateway.protocol.aggregate.merging import Remark
from portico.gateway.protocol.aggregate.view import Part, View


def report(view: View) -> dict[str, Any]:
    merged = view.merged
    return {
        "prefix": view.endpoint.prefix,
        "era": "modern" if view.modern else "legacy",
        "servers": [_server(part) for part in view.parts],
        "offers": {
            kind: [{"name": name, "from": source} for name, source in entries]
            for kind, entries in merged.sources.items()
        },
        "remarks": _remarks(merged.remarks),
        "leftOut": _remarks(merged.left_out),
    }


def _server(part: Part) -> dict[str, Any]:
    return {
        "name": part.include.spec.name,
        "prefix": part.include.prefix,
        "listed": part.lists is not None,
        "failure": part.failure,
        "cut": part.lists is not None and part.lists.cut,
    }


def _remarks(remarks: Iterable[Remark]) -> list[dict[str, Any]]:
    return [
        {
            "kind": each.kind,
            "name": each.name,
            "server": each.server,
            "why": each.why,
            "mend": each.mend,
            "hidden": each.hidden,
        }
        for each in remarks
    ]
