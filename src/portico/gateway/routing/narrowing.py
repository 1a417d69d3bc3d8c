"""What a caller sees who may use some of an endpoint's tools only: an endpoint like it, with nothing else in it.

To whom a tool is not allowed, it does not exist: it is in no list, and calling it is answered like calling a name that
no tool has. Whoever is limited to tools sees the resources that these tools answer for, and no prompts and no fixed
resources, for those are not tools that anybody allowed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import msgspec

from portico.config.patterns import Patterns
from portico.gateway.routing.catalog import Catalog, Listing, listing
from portico.gateway.routing.endpoint import Endpoint
from portico.gateway.routing.include import Aggregate

MOST_VIEWS = 256
_NOTHING = Patterns((), ("*",))
_members = msgspec.json.Decoder(dict[str, msgspec.Raw])
_entries = msgspec.json.Decoder(list[msgspec.Raw])


def narrow(endpoint: Endpoint, allowed: Patterns | None) -> Endpoint:
    """The endpoint as a caller sees it who may use these tools, None for all of them."""
    if allowed is None:
        return endpoint
    found = endpoint.views.get(allowed)
    if found is None:
        if len(endpoint.views) >= MOST_VIEWS:
            endpoint.views.clear()
        found = endpoint.views[allowed] = _narrowed(endpoint, allowed)
    return found


def only_allowed(result: bytes, allowed: Patterns) -> bytes:
    """The result of a `tools/list` without the tools that are not allowed; all else stays as it was written. What is
    left is one caller's, so no cache may give it to another. ValueError where it is no such result."""
    try:
        members = _members.decode(result)
        tools = _entries.decode(members["tools"])
        kept = [tool for tool in tools if _allows(allowed, msgspec.json.decode(tool, type=_Named).name)]
    except (KeyError, msgspec.MsgspecError, RecursionError) as error:
        raise ValueError("the list of tools cannot be read") from error
    members["tools"] = msgspec.Raw(msgspec.json.encode(kept))
    if "cacheScope" in members:
        members["cacheScope"] = msgspec.Raw(b'"private"')
    return msgspec.json.encode(members)


def _allows(allowed: Patterns, name: str) -> bool:
    # What has no name cannot have been allowed.
    return name != "" and allowed.admits(name)


def _narrowed(endpoint: Endpoint, allowed: Patterns) -> Endpoint:
    catalog = endpoint.catalog
    tools = {name: entry for name, entry in catalog.tools.items() if allowed.admits(name)}
    resources = {
        uri: entry for uri, entry in catalog.resources.items() if entry.tool is not None and entry.tool.name in tools
    }
    templates = tuple(template for template in catalog.templates if template.tool.name in tools)
    shown = {template.uri_template for template in templates}
    lists = catalog.lists
    narrowed = Catalog(
        tools=tools,
        prompts={},
        resources=resources,
        templates=templates,
        lists={
            "tools/list": _kept(lists["tools/list"], "tools", lambda entry: entry.name in tools),
            "prompts/list": _kept(lists["prompts/list"], "prompts", lambda entry: False),
            "resources/list": _kept(lists["resources/list"], "resources", lambda entry: entry.uri in resources),
            "resources/templates/list": _kept(
                lists["resources/templates/list"], "resourceTemplates", lambda entry: entry.uri_template in shown
            ),
        },
    )
    gone = {"prompts"} | ({"resources"} if not (resources or templates) else set())
    gone |= {"completions"} if not templates else set()
    # What an upstream can do is the upstream's to say.
    capabilities = {name: value for name, value in endpoint.capabilities.items() if name not in gone}
    return replace(
        endpoint,
        catalog=narrowed,
        capabilities=capabilities,
        allowed=allowed,
        views={},
        aggregate=_narrowed_aggregate(endpoint.aggregate, allowed),
    )


def _narrowed_aggregate(aggregate: Aggregate | None, allowed: Patterns) -> Aggregate | None:
    if aggregate is None:
        return None
    includes = tuple(replace(include, prompts=_NOTHING, resources=_NOTHING) for include in aggregate.includes)
    return replace(aggregate, includes=includes, allowed=allowed)


def _kept(lists: Listing, key: str, keeps: Callable[[_Named], bool]) -> Listing:
    legacy, modern = (_pages(pages, key, keeps) for pages in (lists.legacy, lists.modern))
    size = max(len(_entries.decode(_whole(lists.legacy[0])[key])), 1)
    return listing(key, legacy, modern, size)


def _pages(pages: tuple[bytes, ...], key: str, keeps: Callable[[_Named], bool]) -> list[Any]:
    entries = [entry for page in pages for entry in _entries.decode(_whole(page)[key])]
    return [entry for entry in entries if keeps(msgspec.json.decode(entry, type=_Named))]


def _whole(page: bytes) -> dict[str, msgspec.Raw]:
    return _members.decode(b"{%b}" % page)


class _Named(msgspec.Struct, rename="camel"):
    name: str = ""
    uri: str = ""
    uri_template: str = ""
