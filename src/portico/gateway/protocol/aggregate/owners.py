"""Whose a name or URI is that a client asks for."""

from __future__ import annotations

from portico.config.patterns import matches
from portico.gateway.protocol.aggregate.merging import Owner
from portico.gateway.protocol.aggregate.view import View
from portico.gateway.routing.naming import own_uri


def tool_owner(view: View, name: str) -> Owner | None:
    """Also of a tool that was listed before its server went away: whoever calls it hears what is the matter."""
    found = view.merged.owners["tools"].get(name)
    if found is not None:
        return found
    gone = (part for part in view.parts if part.failure and name in part.known)
    return next((Owner(part.include, part.known[name]) for part in gone), None)


def resource_owner(view: View, uri: str) -> Owner | None:
    """Of a listed resource, of one that a template leads to, or of one that no list has: those that tools link to.

    Without a prefix the last is a guess: the only server that it may belong to, or the first whose lists know the
    scheme. A URI that the document denies has no owner.
    """
    merged = view.merged
    found = merged.owners["resources"].get(uri)
    if found is not None:
        return found
    for template, owner in merged.templates:
        own = own_uri(owner.include.prefix, uri)
        if matches(template, uri) and own is not None and not owner.include.resources.denies(own):
            return Owner(owner.include, own)
    may = []
    for part in view.parts:
        own = own_uri(part.include.prefix, uri)
        if own is not None and part.include.resources.admits(own):
            if part.include.prefix:
                return Owner(part.include, own)
            may.append(Owner(part.include, own))
    if len(may) == 1:
        return may[0]
    scheme = uri.partition(":")[0] + ":"
    return next((owner for owner in may if _knows(view, owner, scheme)), None)


def _knows(view: View, owner: Owner, scheme: str) -> bool:
    kinds = (view.merged.owners["resources"], view.merged.owners["resourceTemplates"])
    return any(
        known.include is owner.include and uri.startswith(scheme) for kind in kinds for uri, known in kind.items()
    )


def template_owner(view: View, template: str) -> Owner | None:
    return view.merged.owners["resourceTemplates"].get(template) or resource_owner(view, template)
