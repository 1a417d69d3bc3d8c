"""Everything that is found out about one endpoint, as data: what `--json` prints."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from portico.apps.inspect.client import Offer
from portico.apps.inspect.tokens import HOW, estimate
from portico.gateway.protocol.aggregate.lists import METHODS
from portico.upstream.mcp.upstream import Era

KINDS = {key: identity for _, key, identity in METHODS.values()}
Inside = Mapping[str, Any]


def report(url: str, offers: Mapping[Era, Offer], workers: Sequence[Inside]) -> dict[str, Any]:
    """`workers` have what the gateway itself knows, where it was asked."""
    inner = workers[0] if workers else None
    views = _views(workers)
    return {
        "url": url,
        "endpoint": {name: inner[name] for name in ("document", "kind", "guarded")} if inner else None,
        "legs": [_leg(era, offer, inner["servers"] if inner else ()) for era, offer in offers.items()],
        "server": next((offer.greeting.server_info for offer in offers.values() if offer.entries), {}),
        "instructions": next((offer.greeting.instructions for offer in offers.values() if offer.entries), None),
        "servers": _servers(inner, views) if inner else [],
        **{kind: _listed(kind, offers, inner, views) for kind in KINDS},
        "hidden": _remarks(views),
        "tokens": {"how": HOW} | {era: _cost(offer) for era, offer in offers.items() if offer.entries},
    }


def _leg(era: Era, offer: Offer, servers: Sequence[Inside]) -> dict[str, Any]:
    """From the client to the gateway in one era, and in which the gateway goes on to each server."""
    found: dict[str, Any] = {"client": era, "spoken": offer.spoken, "version": offer.version, "failure": offer.failure}
    onward = {}
    for server in servers:
        eras = server["eras"]
        onward[server["name"]] = era if era in eras else eras[0] if eras else None
    return found | {"upstreams": onward, "cut": offer.cut}


def _views(workers: Sequence[Inside]) -> list[Inside]:
    """Those of all workers, each once, however many have it."""
    found: list[Inside] = []
    for view in (view for worker in workers for view in worker["views"]):
        if view not in found:
            found.append(view)
    return found


def _servers(inner: Inside, views: Sequence[Inside]) -> list[dict[str, Any]]:
    parts = [part for view in views for part in view["servers"]]
    found: list[dict[str, Any]] = []
    for server in inner["servers"]:
        mine = [part for part in parts if part["name"] == server["name"]]
        failure = next((part["failure"] for part in mine if part["failure"]), "")
        found.append(server | {"prefixes": sorted({part["prefix"] for part in mine} - {""}), "failure": failure})
    return found


def _listed(
    kind: str, offers: Mapping[Era, Offer], inner: Inside | None, views: Sequence[Inside]
) -> list[dict[str, Any]]:
    """Each entry of any era once, in the order of the lists, with the eras in which it is offered."""
    origins = {entry["name"]: entry["from"] for view in views for entry in view["offers"].get(kind, ())}
    found: dict[str, dict[str, Any]] = {}
    for era, offer in offers.items():
        for entry in offer.entries.get(kind, ()):
            name = str(entry.get(KINDS[kind], ""))
            line = found.setdefault(name, {"name": name, "from": _origin(inner, origins.get(name)), "eras": []})
            line["eras"].append(era)
            if kind == "tools":
                line["tokens"] = max(line.get("tokens", 0), estimate(entry))
    return list(found.values())


def _origin(inner: Inside | None, known: str | None) -> str | None:
    if known is not None or inner is None:
        return known
    if inner["kind"] == "relay":
        return inner["servers"][0]["name"]
    return "the document" if inner["kind"] == "document" else None


def _remarks(views: Sequence[Inside]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for remark in (remark for view in views for remark in (*view["remarks"], *view["leftOut"])):
        if remark not in found:
            found.append(remark)
    return found


def _cost(offer: Offer) -> int:
    return sum(estimate(tool) for tool in offer.entries.get("tools", ()))
