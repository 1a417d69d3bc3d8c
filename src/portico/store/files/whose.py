"""Whose document a text is, by its own word: the files store has no other."""

from __future__ import annotations

import json
import re
from typing import Any

from portico.config.load import load
from portico.store.names import is_name
from portico.store.records import DEFAULT_TENANT

_LINE = re.compile(rb"^(name|tenant):[ \t]+[\"']?([a-z0-9-]+)[\"']?[ \t]*(?: #.*)?\r?")
_WORD = re.compile(rb"[\"']?(?:name|tenant)[\"']?[ \t]*:")


def whose(text: bytes, key: str) -> tuple[str, str] | None:
    """Tenant and name, or None when the text does not say them. `key` is the name of its file."""
    said = _in_json(text) or (None if key.endswith(".json") else _at_first_sight(text)) or _read(text, key)
    return said if said is not None and all(map(is_name, said)) else None


def _in_json(text: bytes) -> tuple[str, str] | None:
    """Without the positions of everything, which take a hundred times longer."""
    try:
        return _owner(json.loads(text, object_pairs_hook=_once))
    except (ValueError, RecursionError):
        return None


def _once(members: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(members)
    if len(found) < len(members):
        raise ValueError("a member is there twice")
    return found


def _at_first_sight(text: bytes) -> tuple[str, str] | None:
    """Most texts in YAML say it in a line of its own, which is found a thousand times faster than all of it is read,
    and still when something else in it is broken. Nothing but a key of the whole document can begin such a line."""
    lines = [line for line in text.split(b"\n") if _WORD.match(line)]
    found = [_LINE.fullmatch(line) for line in lines]
    values = {match[1].decode(): match[2].decode() for match in found if match is not None}
    if len(values) < len(lines) or "name" not in values:
        return None
    return values.get("tenant", DEFAULT_TENANT), values["name"]


def _read(text: bytes, key: str) -> tuple[str, str] | None:
    return _owner(load(text, key).value)


def _owner(value: object) -> tuple[str, str] | None:
    if not isinstance(value, dict):
        return None
    tenant, name = value.get("tenant", DEFAULT_TENANT), value.get("name")
    return (tenant, name) if isinstance(tenant, str) and isinstance(name, str) else None
