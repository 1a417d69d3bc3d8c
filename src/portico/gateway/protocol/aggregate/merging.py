"""One catalog out of the document's own things and those of every included server. Pure: it asks nobody.

The order is that of the document, then that of each server's list. Where two have a name, the earlier keeps it; what is
hidden says why, and what would mend it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import msgspec

from portico.gateway.protocol.aggregate import rewriting
from portico.gateway.protocol.aggregate.lists import METHODS, Lists
from portico.gateway.routing.catalog import Catalog, Listing, listing
from portico.gateway.routing.include import Aggregate, Include
from portico.gateway.routing.naming import is_legal, prefixed_name, public_uri

DOCUMENT = "the document"
_EXPRESSION = re.compile(r"\{([^{}]*)\}")


@dataclass(frozen=True, slots=True)
class Owner:
    """Whose something is, and what its server calls it."""

    include: Include
    own: str


@dataclass(frozen=True, slots=True)
class Remark:
    """What is not as one might expect of an entry: it is hidden, or its name is one that some clients refuse."""

    kind: str
    name: str
    server: str
    why: str
    mend: str
    hidden: bool = True


@dataclass(frozen=True, slots=True)
class Merged:
    """`owners` by kind (tools, prompts, resources, resourceTemplates) and public name; `templates` are patterns of what
    each may expand to; `sources` say whose each listed entry is, by kind, in the order of the list."""

    owners: Mapping[str, Mapping[str, Owner]]
    templates: Sequence[tuple[str, Owner]]
    lists: Mapping[str, Listing]
    remarks: tuple[Remark, ...] = ()
    sources: Mapping[str, tuple[tuple[str, str], ...]] = field(default_factory=dict)
    left_out: tuple[Remark, ...] = ()
    """What the document or the caller's key leaves out, which is as somebody wants it."""


def merge(aggregate: Aggregate, local: Catalog, found: Sequence[Lists | None], modern: bool) -> Merged:
    """`found` has the lists of each include, None for one that could not be asked."""
    owners: dict[str, dict[str, Owner]] = {}
    remarks: list[Remark] = []
    left_out: list[Remark] = []
    pages: dict[str, Listing] = {}
    sources: dict[str, tuple[tuple[str, str], ...]] = {}
    for method, (kind, key, identity) in METHODS.items():
        entries = _own(local.lists[method], key, modern)
        taken = {rewriting.text_of(rewriting.members_of(entry).get(identity)) or "": DOCUMENT for entry in entries}
        mine = owners[key] = {}
        for include, lists in zip(aggregate.includes, found, strict=True):
            offered = lists.entries.get(method, ()) if lists is not None else ()
            for entry in offered:
                shown = _entry(include, kind, identity, entry)
                if shown is None:
                    left_out += _left_out(include, kind, identity, entry)
                    continue
                public, own, encoded = shown
                if kind == "tools" and aggregate.allowed is not None and not aggregate.allowed.admits(public):
                    left_out.append(Remark(kind, public, include.spec.name, "this caller may not use it", ""))
                    continue
                if public in taken:
                    remarks.append(_collision(kind, public, own, include, taken[public]))
                    continue
                if kind == "tools" and not is_legal(public):
                    remarks.append(_unusual(public, include))
                taken[public] = include.spec.name
                mine[public] = Owner(include, own)
                entries.append(encoded)
        pages[method] = listing(key, entries, entries, aggregate.page_size)
        sources[key] = tuple(taken.items())
    templates = [(_glob(public), owner) for public, owner in owners["resourceTemplates"].items()]
    return Merged(owners, templates, pages, tuple(remarks), sources, tuple(left_out))


def _own(lists: Listing, key: str, modern: bool) -> list[msgspec.Raw]:
    """The document's own entries, as they are listed without any include."""
    found: list[msgspec.Raw] = []
    for page in lists.modern if modern else lists.legacy:
        found += msgspec.json.decode(rewriting.members_of(b"{%b}" % page)[key], type=list[msgspec.Raw])
    return found


def _entry(include: Include, kind: str, identity: str, raw: msgspec.Raw) -> tuple[str, str, msgspec.Raw] | None:
    """Public name, own name and entry; None for what the document leaves out or what has no name."""
    own = rewriting.text_of(rewriting.members_of(raw).get(identity))
    if own is None or not getattr(include, kind).admits(own):
        return None
    if kind == "resources":
        return public_uri(include.prefix, own), own, rewriting.resource_out(include, raw, identity)
    alias = include.alias(own)
    public = alias.name or prefixed_name(include.prefix, own)
    if kind == "tools":
        return public, own, rewriting.tool_out(include, raw, public, alias)
    return public, own, rewriting.prompt_out(raw, public, alias)


def _left_out(include: Include, kind: str, identity: str, raw: msgspec.Raw) -> tuple[Remark, ...]:
    own, name = rewriting.text_of(rewriting.members_of(raw).get(identity)), include.spec.name
    if own is None:
        return (Remark(kind, "an entry", name, f"it has no {identity}", "This is for its server to mend"),)
    return (Remark(kind, own, name, f"the document does not include it: see `{kind}` of this include", ""),)


def _collision(kind: str, public: str, own: str, include: Include, owner: str) -> Remark:
    name = include.spec.name
    if owner == name:
        return Remark(kind, public, name, "the server lists it twice, or it is included twice", "Include it once")
    way = f"give the include of {name} a prefix, such as {name.replace('-', '_')}_"
    if kind != "resources":
        way += f", or another name by `override: {{{include.prefix}{own}: {{name: …}}}}`"
    return Remark(kind, public, name, f"{owner} has the same and comes first", way[0].upper() + way[1:])


def _unusual(public: str, include: Include) -> Remark:
    why = "some clients refuse a tool whose name is not 1 to 64 letters, digits, _ and -"
    return Remark("tools", public[:200], include.spec.name, why, "Give it a name by `override`", hidden=False)


def _glob(template: str) -> str:
    """What a template may expand to (RFC 6570), roughly; the server itself judges the rest."""
    return _EXPRESSION.sub("*", template)
