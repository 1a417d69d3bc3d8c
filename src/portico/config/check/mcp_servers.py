"""Judges upstream MCP servers: how each is reached, and what its templates read."""

from __future__ import annotations

import re

from portico.config.check.draft import Draft
from portico.config.check.headers import judge_header, judge_header_value
from portico.config.check.urls import judge_proxy
from portico.config.document import NAME, McpServer
from portico.config.positions import Path
from portico.config.problem import quoted
from portico.template import TemplateError, compile_header

ROOTS = frozenset({"values", "secrets"})
_NAME = re.compile(NAME)
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def judge_mcp_servers(draft: Draft) -> None:
    for path, server in draft.mcp_servers:
        _name(path, draft)
        _reach(path, server, draft)
        _templates(path, server, draft)
        for name, value in server.headers.items():
            judge_header((*path, "headers", name), name, draft.findings)
            judge_header_value((*path, "headers", name), value, draft.findings)
        if server.proxy is not None:
            judge_proxy((*path, "proxy"), server.proxy, draft.findings)
        for name in server.env:
            if not _VARIABLE.fullmatch(name):
                draft.findings.error(
                    (*path, "env", name),
                    "bad-variable-name",
                    f"{quoted(name)} is not the name of an environment variable",
                    "Use letters, digits and underscores",
                    key=True,
                )


def _name(path: Path, draft: Draft) -> None:
    name = str(path[-1])
    if not _NAME.match(name):
        mend = "Use lower-case letters, digits and hyphens, 63 at most"
        draft.findings.error(path, "bad-name", f"{quoted(name)} is not a name of a server", mend, key=True)
    if name in draft.server_names:
        mend = "Give one of them another name, for routers name both alike"
        draft.findings.error(path, "duplicate-name", f"a server is named {quoted(name)} too", mend, key=True)


def _reach(path: Path, server: McpServer, draft: Draft) -> None:
    findings = draft.findings
    if server.kind == "stdio":
        if server.command is None:
            findings.error(
                path, "no-command", "a stdio server needs a command", "Write `command`, and `args`", key=True
            )
        if server.url is not None:
            findings.error((*path, "url"), "url-and-command", "a stdio server has no url", "Remove it, or the command")
        return
    if server.url is None:
        findings.error(path, "no-url", "the server has neither url nor command", "Write one of them", key=True)
    elif not server.url.lstrip().startswith("{{") and not re.match(r"https?://[^/\s]", server.url):
        findings.error((*path, "url"), "bad-url", "the url must begin with http:// or https://", "Write it in full")
    if server.command is not None:
        findings.error(
            (*path, "command"), "url-and-command", "a server that is reached by url has no command", "Remove it"
        )


def _templates(path: Path, server: McpServer, draft: Draft) -> None:
    sources: list[tuple[Path, str]] = [((*path, "headers", name), text) for name, text in server.headers.items()]
    sources += [((*path, "env", name), text) for name, text in server.env.items()]
    sources += [((*path, "url"), server.url)] if server.url is not None else []
    for where, source in sources:
        try:
            reads = compile_header(source, ROOTS).reads
        except TemplateError as error:
            draft.findings.error(where, "bad-template", error.message, error.mend)
            continue
        for read in sorted(reads):
            known = draft.values if read[0] == "values" else draft.secrets
            if known is None or len(read) < 2 or read[1] in known:
                continue
            if read[0] == "values":
                mend = draft.findings.suggest(read[1], known, "Define it under `values`")
                draft.findings.error(where, "unknown-value", f"there is no value {quoted(read[1])}", mend)
            else:
                mend = f"Put it into the directory of secrets, into PORTICO_SECRET_{read[1]}, or into a database"
                draft.findings.warning(where, "unknown-secret", f"there is no secret {quoted(read[1])}", mend)
