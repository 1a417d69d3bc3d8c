"""Judges x-mcp-header: arguments that clients mirror into Mcp-Param-* headers (2026-07-28, server/tools#x-mcp-header).

A client leaves a tool out when one of these rules is broken, so each is an error here.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from portico.config.check.findings import Findings
from portico.config.check.headers import TOKEN
from portico.config.positions import Path
from portico.config.problem import quoted
from portico.config.subschemas import Subschema, subschemas

KEYWORD = "x-mcp-header"
_PRIMITIVE = ("integer", "string", "boolean")
_SAFE = 2**53 - 1


def judge_mirrored(schema: dict[str, Any], findings: Findings, written: Callable[[Path], Path]) -> None:
    first: dict[str, Path] = {}
    for each in subschemas(schema):
        if KEYWORD not in each.schema:
            continue
        path, name = written((*each.path, KEYWORD)), each.schema[KEYWORD]
        for message, mend in _faults(name, each):
            findings.error(path, "bad-mirrored-header", message, mend)
        if isinstance(name, str) and name.lower() in first:
            findings.error(
                path,
                "duplicate-mirrored-header",
                f"the header {quoted(name)} is used twice, first on line {findings.line(first[name.lower()])}",
                "Give each argument a header of its own; letter case does not count",
            )
        elif isinstance(name, str):
            first[name.lower()] = path


def _faults(name: Any, each: Subschema) -> list[tuple[str, str]]:
    faults: list[tuple[str, str]] = []
    if not isinstance(name, str) or not TOKEN.fullmatch(name):
        faults.append(("x-mcp-header must be a header name", "Write letters, digits and hyphens, such as Region"))
    if each.schema.get("type") not in _PRIMITIVE:
        faults.append(
            ("x-mcp-header needs a value of one simple type", "Set `type` to string, integer or boolean, or remove it")
        )
    if not each.reachable or not each.path:
        faults.append(
            (
                "x-mcp-header stands where no chain of `properties` leads",
                "Use it on a property of the arguments, not in items, $defs, oneOf and the like",
            )
        )
    if each.schema.get("type") == "integer" and any(_unsafe(each.schema, key) for key in ("minimum", "maximum")):
        faults.append(("integers in headers end at ±(2^53 - 1)", "Narrow minimum and maximum"))
    return faults


def _unsafe(schema: dict[str, Any], keyword: str) -> bool:
    bound = schema.get(keyword)
    return isinstance(bound, int | float) and abs(bound) > _SAFE
