"""How the names and URIs of an included server are called in public, and back.

Names come back by look-up, so a name may be shortened. URIs come back by computation, because a client may read one
that no list has, such as an expanded template (docs/decisions/: how URIs of included servers are told apart).
"""

from __future__ import annotations

import hashlib
import re

LONGEST = 64
_DIGEST = 6
_LEGAL = re.compile(r"[A-Za-z0-9_-]{1,64}").fullmatch
_ILLEGAL = re.compile(r"[^A-Za-z0-9_-]")
_HIERARCHICAL = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://", re.ASCII).match
_OPAQUE = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):", re.ASCII).match


def is_legal(name: str) -> bool:
    """Whether every known client takes a tool of this name."""
    return _LEGAL(name) is not None


def prefixed_name(prefix: str, name: str) -> str:
    """The server's own name where there is no prefix; else a name that is legal, and the same every time."""
    if not prefix:
        return name
    joined = _ILLEGAL.sub("_", prefix + name)
    if len(joined) <= LONGEST:
        return joined
    digest = hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:_DIGEST]
    return f"{joined[: LONGEST - _DIGEST - 1]}_{digest}"


def public_uri(prefix: str, uri: str) -> str:
    """`scheme://rest` → `scheme://prefix/rest`, `scheme:rest` → `scheme:prefix:rest`, and what has no scheme →
    `/prefix/rest`. Templates of RFC 6570 are changed alike, so that what they expand to leads back."""
    if not prefix:
        return uri
    if found := _HIERARCHICAL(uri):
        return f"{found[0]}{prefix}/{uri[found.end() :]}"
    if found := _OPAQUE(uri):
        return f"{found[0]}{prefix}:{uri[found.end() :]}"
    return f"/{prefix}/{uri}"


def own_uri(prefix: str, uri: str) -> str | None:
    """The server's own URI; None for one that the server's public URIs cannot be."""
    if not prefix:
        return uri
    if uri.startswith(f"/{prefix}/"):
        return uri[len(prefix) + 2 :]
    for shape, mark in ((_HIERARCHICAL, "/"), (_OPAQUE, ":")):
        found = shape(uri)
        if found and uri.startswith(prefix + mark, found.end()):
            return found[0] + uri[found.end() + len(prefix) + 1 :]
    return None
