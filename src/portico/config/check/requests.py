"""Judges a tool's request: where its arguments go, which body it sends, its headers and cookies."""

from __future__ import annotations

from portico.config.check.draft import Draft
from portico.config.check.findings import Findings
from portico.config.check.headers import judge_cookie, judge_header, judge_header_value
from portico.config.check.templates import Templates
from portico.config.check.urls import judge_proxy
from portico.config.document import Argument, Request, Tool
from portico.config.positions import Path
from portico.config.problem import quoted

BODIES = ("body", "form", "multipart")


def judge_request(path: Path, tool: Tool, templates: Templates, draft: Draft) -> None:
    findings, request = draft.findings, tool.request
    if request.proxy is not None:
        judge_proxy((*path, "request", "proxy"), request.proxy, findings)
    _headers((*path, "request"), request, findings)
    _body(path, tool, findings)
    if tool.input_schema is None:
        _path_arguments(path, tool, templates, findings)
        _parameters(path, tool, findings)
        _unused(path, tool, templates, findings)


def sent_name(arg: Argument) -> str:
    """The upstream's name of an argument."""
    return arg.send_as or arg.name


def _headers(path: Path, request: Request, findings: Findings) -> None:
    for section, entries, judge in (
        ("headers", request.headers, judge_header),
        ("cookies", request.cookies, judge_cookie),
    ):
        seen: dict[str, Path] = {}
        for name, value in entries.items():
            where = (*path, section, name)
            judge(where, name, findings)
            judge_header_value(where, value, findings)
            folded = name.lower() if section == "headers" else name
            if folded in seen:
                message = f"the header {quoted(name)} is there twice, first on line {findings.line(seen[folded])}"
                findings.error(where, "duplicate-header", message, "Remove one; letter case does not count", key=True)
            seen.setdefault(folded, where)


def _body(path: Path, tool: Tool, findings: Findings) -> None:
    request = tool.request
    kinds: dict[str, Path] = {}
    for kind in BODIES:
        if kind in request.model_fields_set and getattr(request, kind) is not None:
            kinds.setdefault(kind, (*path, "request", kind))
    positions = {str(arg.position) for arg in tool.args or []}
    for index, arg in enumerate(tool.args or []):
        # Beside a file, arguments of a body or a form become fields of the same multipart.
        if arg.position in BODIES and not ("multipart" in positions and arg.position != "multipart"):
            kinds.setdefault(str(arg.position), (*path, "args", index, "in"))
    if len(kinds) > 1:
        first, second = list(kinds)[:2]
        findings.error(
            kinds[second],
            "mixed-bodies",
            f"one request cannot have both {first} and {second}",
            "Keep one kind of body; multipart can hold fields and files",
        )
    if kinds and request.method in ("GET", "HEAD"):
        findings.warning(
            next(iter(kinds.values())),
            "body-on-get",
            f"a {request.method} with a body is ignored or refused by many servers",
            "Use POST, PUT or PATCH, or send the arguments in the query",
        )


def _path_arguments(path: Path, tool: Tool, templates: Templates, findings: Findings) -> None:
    for index, arg in enumerate(tool.args or []):
        if arg.position != "path":
            continue
        if templates.in_url is not None and arg.name not in templates.in_url:
            findings.error(
                (*path, "args", index, "in"),
                "path-argument-without-place",
                f"the URL has no place for the path argument {quoted(arg.name)}",
                f"Write {{{arg.name}}} into the path of the URL",
            )
        if not arg.required and "default" not in arg.schema_keywords():
            findings.warning(
                (*path, "args", index),
                "optional-path-argument",
                f"the path argument {quoted(arg.name)} may be left out, and then the call fails",
                "Set `required: true`, or give it a default",
            )


def _parameters(path: Path, tool: Tool, findings: Findings) -> None:
    """Names on the wire: legal ones, and each of them once."""
    request = tool.request
    taken: dict[tuple[str, str], Path] = {
        ("header", name.lower()): (*path, "request", "headers", name) for name in request.headers
    }
    taken |= {("cookie", name): (*path, "request", "cookies", name) for name in request.cookies}
    taken |= {("query", name): (*path, "request", "query", name) for name in request.query}
    taken |= {("form", name): (*path, "request", "form", name) for name in request.form or {}}
    taken |= {("multipart", name): (*path, "request", "multipart", name) for name in request.multipart or {}}
    for index, arg in enumerate(tool.args or []):
        where, name = (*path, "args", index, "as" if arg.send_as else "name"), sent_name(arg)
        if arg.position == "header":
            judge_header(where, name, findings, key=False)
        elif arg.position == "cookie":
            judge_cookie(where, name, findings, key=False)
        if arg.position is None:
            continue
        slot = (arg.position, name.lower() if arg.position == "header" else name)
        # The same name of two arguments is reported as a duplicate name already.
        if slot in taken and not (taken[slot][-1] == where[-1] == "name"):
            message = (
                f"the {arg.position} parameter {quoted(name)} is set twice, also on line {findings.line(taken[slot])}"
            )
            findings.error(where, "duplicate-parameter", message, "Rename or remove one of the two")
        taken.setdefault(slot, where)


def _unused(path: Path, tool: Tool, templates: Templates, findings: Findings) -> None:
    """Arguments whose value goes nowhere."""
    templated = "body" in tool.request.model_fields_set and tool.request.body is not None
    for index, arg in enumerate(tool.args or []):
        sent = arg.position is not None and not (arg.position == "body" and templated)
        if not sent and not templates.uses(arg.name):
            findings.warning(
                (*path, "args", index, "name"),
                "unused-argument",
                f"the value of the argument {quoted(arg.name)} is sent nowhere",
                "Set `in`, use it in a template, or remove it",
            )
