"""What an endpoint offers: tools, prompts and resources by name, and their lists, encoded once."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import msgspec

from portico.upstream.http_api import HttpTool
from portico.wire import errors
from portico.wire.errors import RpcError


class Shaped(Protocol):
    """A tool's answer, encoded: a JSON array of content blocks, and the structured content if there is one."""

    @property
    def content(self) -> bytes: ...
    @property
    def structured(self) -> bytes | None: ...
    @property
    def is_error(self) -> bool: ...
    @property
    def status(self) -> int | None:
        """The upstream's HTTP status, where there was one."""
        ...

    @property
    def sent(self) -> str:
        """What went out, for the log, without secrets."""
        ...

    @property
    def why(self) -> str:
        """A sentence of the gateway's where the answer is an error of its making, else empty."""
        ...


class Target(Protocol):
    """What a tool call becomes. `request` holds what the templates read of the client's request, and nothing else;
    `trace` is there when the call is sampled."""

    @property
    def request_reads(self) -> frozenset[tuple[str, str]]:
        """Pairs such as ("headers", "x-trace")."""
        ...

    async def call(self, arguments: dict[str, Any], request: Mapping[str, Any], session: str | None,
                   deadline: float, trace: Any | None) -> Shaped: ...  # fmt: skip


@dataclass(frozen=True, slots=True)
class HeaderMirror:
    """An `x-mcp-header` annotation: the lower-case header name and the property path that it mirrors."""

    header: bytes
    path: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ToolEntry:
    """A tool with everything compiled: `fill` applies defaults, `coerce` turns the texts of a URI into arguments."""

    name: str
    target: Target
    is_valid: Callable[[Any], bool]
    explain: Callable[[Any], str]
    coerce: Callable[[dict[str, str]], dict[str, Any]]
    fill: Callable[[dict[str, Any]], dict[str, Any]] | None = None
    mirrors: tuple[HeaderMirror, ...] = ()
    requires: Mapping[str, Any] = field(default_factory=dict)
    plain: HttpTool | None = None
    """The target once more, where a call needs nothing of the client but its arguments (transport/rest_shortcut.py)."""


@dataclass(frozen=True, slots=True)
class PromptEntry:
    name: str
    description: str | None
    required: frozenset[str]
    arguments: frozenset[str]
    messages: Callable[[Mapping[str, Any]], Any]
    """Renders the messages with `{"args": …}`."""
    suggestions: Mapping[str, Sequence[str]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ResourceEntry:
    """A resource with fixed content (`contents`, encoded), or one whose content is a tool's answer."""

    uri: str
    mime_type: str | None
    contents: bytes | None
    tool: ToolEntry | None = None


@dataclass(frozen=True, slots=True)
class TemplateEntry:
    """A URI template; `pattern` has one named group a variable."""

    uri_template: str
    pattern: re.Pattern[str]
    variables: tuple[str, ...]
    mime_type: str | None
    tool: ToolEntry
    suggestions: Mapping[str, Sequence[str]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Listing:
    """One list, cut into pages and encoded for each era: the members of the result object, without braces."""

    legacy: tuple[bytes, ...]
    modern: tuple[bytes, ...]

    def page(self, modern: bool, cursor: str | None) -> bytes:
        """The page that a cursor names (none: the first), or RpcError for a cursor that was never given out."""
        pages = self.modern if modern else self.legacy
        if cursor is None:
            return pages[0]
        number = cursor.removeprefix("page-")
        if cursor.startswith("page-") and number.isascii() and number.isdigit() and len(number) < 9:
            index = int(number)
            if 0 < index < len(pages):
                return pages[index]
        raise RpcError(errors.INVALID_PARAMS, "The cursor is not one of this list; start again without a cursor.")


def listing(key: str, legacy: Sequence[Any], modern: Sequence[Any], size: int) -> Listing:
    return Listing(_pages(key, legacy, size), _pages(key, modern, size))


def _pages(key: str, entries: Sequence[Any], size: int) -> tuple[bytes, ...]:
    pages = []
    for start in range(0, max(len(entries), 1), size):
        body: dict[str, Any] = {key: entries[start : start + size]}
        if start + size < len(entries):
            body["nextCursor"] = f"page-{start // size + 1}"
        pages.append(msgspec.json.encode(body)[1:-1])
    return tuple(pages)


@dataclass(frozen=True, slots=True)
class Catalog:
    tools: Mapping[str, ToolEntry]
    prompts: Mapping[str, PromptEntry]
    resources: Mapping[str, ResourceEntry]
    templates: Sequence[TemplateEntry]
    lists: Mapping[str, Listing]
    """By method name: tools/list, prompts/list, resources/list, resources/templates/list."""

    def changes(self, other: Catalog) -> frozenset[str]:
        """Which kinds of list (tools, prompts, resources) a client would see differently in `other`."""
        kinds = set()
        for method, mine in self.lists.items():
            if mine.modern != other.lists[method].modern:
                kinds.add(method.partition("/")[0])
        return frozenset(kinds)

    def changed_resources(self, other: Catalog) -> frozenset[str]:
        """URIs of resources with fixed content that differs in `other`."""
        return frozenset(
            uri
            for uri, entry in self.resources.items()
            if uri in other.resources and entry.contents != other.resources[uri].contents
        )
