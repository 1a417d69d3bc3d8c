"""Judges names: what stands twice, and which prefixes may not be taken."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from portico.config.check.draft import Draft
from portico.config.check.findings import Findings
from portico.config.document import RESERVED_PREFIXES, SUFFIXES
from portico.config.positions import Path
from portico.config.prefix import canonical_prefix
from portico.config.problem import quoted


def judge_names(draft: Draft) -> None:
    findings = draft.findings
    for kind, entries in (("server", draft.servers), ("tool", draft.tools), ("prompt", draft.prompts)):
        _unique((((*path, "name"), entry.name, f"{kind} {quoted(entry.name)}") for path, entry in entries), findings)
    _unique(_resource_uris(draft), findings)
    for path, prompt in draft.prompts:
        _unique(_arguments((*path, "arguments"), [argument.name for argument in prompt.arguments]), findings)
    for path, tool in draft.tools:
        _unique(_arguments((*path, "args"), [arg.name for arg in tool.args or []]), findings)
    _unique(_prefixes(draft), findings)
    for path, router in draft.routers:
        _prefix((*path, "prefix"), router.prefix, findings)


def _unique(entries: Iterable[tuple[Path, str, str]], findings: Findings) -> None:
    """`entries`: path, what must be unique, and what to call it."""
    first: dict[str, Path] = {}
    for path, key, what in entries:
        if key in first:
            findings.error(
                path,
                "duplicate-prefix" if path[-1] == "prefix" else "duplicate-name",
                f"the {what} is there twice, first on line {findings.line(first[key])}",
                "Rename or remove one of the two",
            )
        first.setdefault(key, path)


def _resource_uris(draft: Draft) -> Iterator[tuple[Path, str, str]]:
    for path, resource in draft.resources:
        if resource.uri is not None:
            yield (*path, "uri"), resource.uri, f"resource {quoted(resource.uri)}"
        if resource.uri_template is not None:
            yield (*path, "uriTemplate"), resource.uri_template, f"resource template {quoted(resource.uri_template)}"


def _arguments(path: Path, names: list[str]) -> Iterator[tuple[Path, str, str]]:
    for index, name in enumerate(names):
        yield (*path, index, "name"), name, f"argument {quoted(name)}"


def _prefixes(draft: Draft) -> Iterator[tuple[Path, str, str]]:
    for path, router in draft.routers:
        yield (*path, "prefix"), canonical_prefix(router.prefix), f"prefix {quoted(router.prefix)}"


def _prefix(path: Path, prefix: str, findings: Findings) -> None:
    segments = prefix.split("/")
    reserved = next((each for each in RESERVED_PREFIXES if prefix == each or prefix.startswith(each + "/")), None)
    if reserved is not None:
        findings.error(
            path,
            "reserved-prefix",
            f"the prefix {quoted(prefix)} lies under {reserved}, which the gateway keeps for itself",
            "Choose another first segment",
        )
    if segments[-1] in SUFFIXES:
        findings.error(
            path,
            "prefix-ends-in-suffix",
            f"the prefix {quoted(prefix)} ends in /{segments[-1]}, which is added to every prefix",
            f"Leave /{segments[-1]} away: the endpoint is {{prefix}}/{segments[-1]} by itself",
        )
    if "." in segments or ".." in segments:
        findings.error(
            path, "illegal-prefix", f"the prefix {quoted(prefix)} has a dot segment", "Remove the segments . and .."
        )
