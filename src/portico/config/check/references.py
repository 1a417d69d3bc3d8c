"""Judges references: names that lead nowhere, and things that nothing leads to."""

from __future__ import annotations

from collections.abc import Callable, Collection

from portico.config.check.draft import Draft
from portico.config.document import Server
from portico.config.positions import Path
from portico.config.problem import quoted


def judge_references(draft: Draft) -> None:
    for path, router in draft.routers:
        _known((*path, "server"), router.server, "server", draft.server_names | draft.mcp_server_names, draft)
    for path, server in draft.servers:
        for kind, names, known in (
            ("tool", server.tools, draft.tool_names),
            ("prompt", server.prompts, draft.prompt_names),
            ("resource", server.resources, draft.resource_names),
        ):
            for index, name in enumerate(names or []):
                _known((*path, f"{kind}s", index), name, kind, known, draft)
    for path, resource in draft.resources:
        if resource.tool is not None:
            _known((*path, "tool"), resource.tool, "tool", draft.tool_names, draft)
    if draft.document is not None:
        _unused(draft)


def _known(path: Path, name: str, kind: str, known: Collection[str], draft: Draft) -> None:
    if name not in known:
        mend = draft.findings.suggest(name, known, f"Define a {kind} of this name under `{kind}s`")
        draft.findings.error(path, f"unknown-{kind}", f"there is no {kind} {quoted(name)}", mend)


def _unused(draft: Draft) -> None:
    used = {resource.tool for _, resource in draft.resources}
    _offered(draft, "tool", [((*p, "name"), t.name) for p, t in draft.tools if t.name not in used], lambda s: s.tools)
    _offered(draft, "prompt", [((*p, "name"), prompt.name) for p, prompt in draft.prompts], lambda s: s.prompts)
    uris = [((*p, "uri" if r.uri else "uriTemplate"), r.uri or r.uri_template or "") for p, r in draft.resources]
    _offered(draft, "resource", uris, lambda s: s.resources)
    reached = {router.server for _, router in draft.routers}
    for path, server in draft.servers:
        if server.name not in reached:
            draft.findings.note(
                (*path, "name"),
                "unused-server",
                f"no router leads to the server {quoted(server.name)}",
                "Add a router with a prefix for it, or remove it",
            )


def _offered(
    draft: Draft, kind: str, entries: list[tuple[Path, str]], listed: Callable[[Server], list[str] | None]
) -> None:
    offered: set[str] = set()
    for _, server in draft.servers:
        names = listed(server)
        if names is None:
            return
        offered.update(names)
    for path, name in entries:
        if name not in offered:
            draft.findings.note(
                path,
                f"unused-{kind}",
                f"no server offers the {kind} {quoted(name)}",
                f"Add it to the `{kind}s` of a server, or remove it",
            )
