"""Judges what servers include of upstream MCP servers: where it comes from, what is chosen, and how it is called."""

from __future__ import annotations

import re

from portico.config.check.draft import Draft
from portico.config.document import ALIAS, Include, Server
from portico.config.patterns import compile_patterns, matches
from portico.config.positions import Path
from portico.config.problem import quoted

_ALIAS = re.compile(ALIAS)


def judge_includes(draft: Draft) -> None:
    for path, server in draft.servers:
        for index, include in enumerate(server.include):
            where = (*path, "include", index)
            _known((*where, "mcpServer"), include, draft)
            _patterns(where, include, draft)
            _overrides(where, include, draft)
        _twice(path, server, draft)
        _collisions(path, server, draft)


def _known(path: Path, include: Include, draft: Draft) -> None:
    name = include.mcp_server
    if name not in draft.mcp_server_names:
        mend = draft.findings.suggest(name, draft.mcp_server_names, "Define it under `mcpServers`")
        draft.findings.error(path, "unknown-mcp-server", f"there is no mcpServer {quoted(name)}", mend)


def _patterns(path: Path, include: Include, draft: Draft) -> None:
    for kind in ("tools", "prompts", "resources"):
        texts: list[str] = getattr(include, kind)
        denials = [text[1:] for text in texts if text.startswith("!")]
        for index, text in enumerate(texts):
            denial = next((each for each in denials if not text.startswith("!") and matches(each, text)), None)
            if denial is not None:
                draft.findings.warning(
                    (*path, kind, index),
                    "pattern-never-matches",
                    f"the pattern {quoted(text)} allows nothing, for {quoted('!' + denial)} denies all of it",
                    "Remove one of the two: a denial wins wherever it stands",
                )


def _overrides(path: Path, include: Include, draft: Draft) -> None:
    for key in include.override:
        where = (*path, "override", key)
        if not key.startswith(include.prefix):
            draft.findings.error(
                where,
                "override-without-prefix",
                f"no name of this include begins otherwise than with the prefix {quoted(include.prefix)}",
                f"Write {include.prefix}{key}",
                key=True,
            )
            continue
        raw = key.removeprefix(include.prefix)
        chosen = (compile_patterns(include.tools), compile_patterns(include.prompts))
        if not any(patterns.admits(raw) for patterns in chosen):
            draft.findings.warning(
                where,
                "override-never-used",
                f"the patterns of this include leave {quoted(raw)} out",
                "Allow it in `tools` or `prompts`, or remove the override",
                key=True,
            )


def _twice(path: Path, server: Server, draft: Draft) -> None:
    first: dict[tuple[str, str], int] = {}
    for index, include in enumerate(server.include):
        before = first.setdefault((include.mcp_server, include.prefix), index)
        chosen = [server.include[number].tools for number in (before, index)]
        if before != index and all("*" in patterns for patterns in chosen):
            draft.findings.warning(
                (*path, "include", index, "mcpServer"),
                "included-twice",
                f"{quoted(include.mcp_server)} is included before with the same prefix, so that its names collide",
                "Give one of the two another prefix, or choose other tools",
            )


def _collisions(path: Path, server: Server, draft: Draft) -> None:
    """Names that are known before any upstream is asked: those of the document, and those that overrides give."""
    offered = draft.tool_names if server.tools is None else frozenset(server.tools)
    taken = dict.fromkeys(offered, "a tool of this document")
    for index, include in enumerate(server.include):
        for key, override in include.override.items():
            name = override.name
            if name is None:
                continue
            if name in taken:
                draft.findings.error(
                    (*path, "include", index, "override", key, "name"),
                    "name-collision",
                    f"the name {quoted(name)} is taken by {taken[name]}",
                    f"Choose another, such as {_other(name, include.mcp_server, taken)}",
                )
            taken.setdefault(name, f"the override of {key} in an include of {include.mcp_server}")


def _other(name: str, server: str, taken: dict[str, str]) -> str:
    proposed = f"{server.replace('-', '_')}_{name}"[:64]
    return proposed if proposed not in taken and _ALIAS.match(proposed) else f"{name[:62]}_2"
