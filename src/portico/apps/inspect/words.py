"""A report in words and columns, for a terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

TITLES = {
    "tools": "Tools",
    "prompts": "Prompts",
    "resources": "Resources",
    "resourceTemplates": "Resource templates",
}
_ESCAPES = {code: f"\\x{code:02x}" for code in (*range(32), 127, *range(0x80, 0xA0))}
Report = Mapping[str, Any]


def words(report: Report) -> str:
    parts = [_head(report), _legs(report), _servers(report)]
    parts += [_list(report, kind, title) for kind, title in TITLES.items()]
    parts += [_hidden(report)]
    return "\n\n".join("\n".join(lines) for lines in parts if lines)


def _head(report: Report) -> list[str]:
    endpoint, server = report["endpoint"], report["server"]
    lines = [report["url"]]
    if endpoint:
        what = {"relay": "relays an MCP server", "aggregate": "combines servers", "document": "offers its own"}
        guard = ", asks for a key or a token" if endpoint["guarded"] else ""
        lines.append(f"Of the document {endpoint['document']}: {what[endpoint['kind']]}{guard}.")
    if server:
        lines.append(
            _plain(f"It calls itself {server.get('name', '')} {server.get('version', '')}.".replace(" .", "."))
        )
    return lines


def _legs(report: Report) -> list[str]:
    lines = ["Eras"]
    for leg in report["legs"]:
        said = leg["version"] if leg["spoken"] else "no answer"
        why = f": {leg['failure']}" if leg["failure"] else ""
        lines.append(_plain(f"  client – gateway   {leg['client']} {said}{why}"))
        for name, era in leg["upstreams"].items():
            how = era if era == leg["client"] else f"{era}, translated" if era else "not known"
            lines.append(_plain(f"    gateway – {name}   {how}"))
        if leg["cut"]:
            lines.append("    A list was longer than is read here; its end is missing below.")
    return lines


def _servers(report: Report) -> list[str]:
    if not report["servers"]:
        return []
    rows = []
    for server in report["servers"]:
        prefix = f"prefix {', '.join(server['prefixes'])}" if server["prefixes"] else ""
        why = server["reason"] or server["failure"]
        rows.append((server["name"], server["kind"], server["state"], prefix, why))
    return ["Servers", *_columns(rows)]


def _list(report: Report, kind: str, title: str) -> list[str]:
    entries = report[kind]
    if not entries and kind != "tools":
        return []
    head = f"{title}: {len(entries)}"
    if kind == "tools":
        costs = [f"{cost:,} tokens ({era})" for era, cost in report["tokens"].items() if era != "how"]
        head += f", about {' and '.join(costs)}" if costs and entries else ""
    spoken = [leg["client"] for leg in report["legs"] if leg["spoken"] and not leg["failure"]]
    rows = []
    for entry in entries:
        only = f"{entry['eras'][0]} only" if len(entry["eras"]) < len(spoken) else ""
        cost = f"{entry['tokens']:,} tokens" if kind == "tools" else ""
        rows.append((entry["name"], entry["from"] or "", cost, only))
    lines = [head, *_columns(rows)]
    if kind == "tools" and entries:
        lines.append(f"  Tokens are estimated: {report['tokens']['how']}.")
    return lines


def _hidden(report: Report) -> list[str]:
    lines = []
    for remark in report["hidden"]:
        verb = "hidden" if remark["hidden"] else "listed, but"
        mend = f" {remark['mend']}." if remark["mend"] else ""
        lines.append(
            _plain(f"  {remark['kind']} {remark['name']} of {remark['server']}, {verb}: {remark['why']}.{mend}")
        )
    return ["Remarks", *lines] if lines else []


def _columns(rows: Sequence[Sequence[str]]) -> list[str]:
    plain = [[_plain(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*plain, strict=True)]
    lines = (
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True) if width).rstrip() for row in plain
    )
    return ["  " + line for line in lines]


def _plain(text: str) -> str:
    """What a server says, without what would steer the terminal."""
    return text.translate(_ESCAPES)
