"""Judges resources: one address, one content, and templates whose variables are arguments of their tool."""

from __future__ import annotations

import re

from portico.config.check.content import judge_base64
from portico.config.check.draft import Draft
from portico.config.check.findings import Findings
from portico.config.document import Resource, Tool
from portico.config.input_schema import argument_names
from portico.config.positions import Path
from portico.config.problem import quoted

_URI = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:[^\s{}]+")
_VARIABLE = re.compile(r"\{([^{}]*)\}")
_NAME = re.compile(r"\+?([A-Za-z_][A-Za-z0-9_]*)")


def judge_resources(draft: Draft) -> None:
    tools = {tool.name: tool for _, tool in draft.tools}
    for path, resource in draft.resources:
        _one_of(path, resource, ("uri", "uriTemplate"), "address", draft.findings)
        _one_of(path, resource, ("text", "blob", "tool"), "content", draft.findings)
        judge_base64((*path, "blob"), resource.blob, draft.findings)
        if resource.uri is not None and not _URI.fullmatch(resource.uri):
            draft.findings.error(
                (*path, "uri"),
                "bad-uri",
                f"{quoted(resource.uri)} is not a URI",
                "Write scheme:rest, such as users://guide; use uriTemplate for {variables}",
            )
        if resource.uri_template is not None and resource.tool is None:
            draft.findings.error(
                (*path, "uriTemplate"),
                "template-without-tool",
                f"the resource {quoted(resource.name)} has variables, but no tool to give them to",
                "Set `tool`, or write a `uri` without variables",
                key=True,
            )
        elif resource.uri_template is not None:
            _template((*path, "uriTemplate"), resource, tools, draft.findings)


def _one_of(path: Path, resource: Resource, fields: tuple[str, ...], what: str, findings: Findings) -> None:
    names = {"uriTemplate": "uri_template"}
    given = [field for field in fields if getattr(resource, names.get(field, field)) is not None]
    if len(given) != 1:
        count = "no" if not given else "more than one"
        findings.error(
            (*path, given[1]) if given else path,
            f"resource-{what}",
            f"the resource {quoted(resource.name)} has {count} {what}",
            f"Write exactly one of {', '.join(fields)}",
            key=True,
        )


def _template(path: Path, resource: Resource, tools: dict[str, Tool], findings: Findings) -> None:
    template = resource.uri_template or ""
    if not _URI.fullmatch(_VARIABLE.sub("x", template)):
        findings.error(
            path, "bad-uri", f"{quoted(template)} is not a URI template", "Write scheme:rest with {variables}"
        )
        return
    tool = tools.get(resource.tool or "")
    known = argument_names(tool) if tool is not None else None
    for match in _VARIABLE.finditer(template):
        name = _NAME.fullmatch(match[1])
        if name is None:
            message = f"the expansion {quoted(match[0])} is not supported"
            findings.error(path, "bad-uri", message, "Write {name} or {+name}", offset=match.start())
        elif known is not None and name[1] not in known:
            mend = findings.suggest(name[1], known, f"Give the tool an argument {quoted(name[1])}")
            message = f"the tool {quoted(resource.tool)} has no argument {quoted(name[1])}"
            findings.error(path, "unknown-argument", message, mend, offset=match.start())
