"""`auth` of a router → the guard of its endpoint."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from portico.auth.keys import KeyRing
from portico.auth.principal import Guard
from portico.config.auth import Auth
from portico.config.document import Document
from portico.config.key import Key
from portico.gateway.routing.endpoint import Endpoint


def compile_guard(document: Document, auth: Auth, key_sets: Any) -> Guard | None:
    """None where everybody may. A mode that is not one of these never gets here, and would let nobody in if it did."""
    if auth.mode == "none":
        return None
    if auth.mode == "jwt":
        return _tokens(auth, key_sets)
    keys = [
        Key(document.tenant, key.name, key.hash, tools=tuple(key.tools or ()), expires=key.expires) for key in auth.keys
    ]
    return KeyRing(keys)


def _tokens(auth: Auth, key_sets: Any) -> Guard:
    # What verifies signatures takes a tenth of a second to import, which only those pay who need it.
    from portico.auth.tokens import TokenGuard, TokenRules

    assert auth.issuer is not None
    assert auth.jwks is not None
    assert auth.audience is not None
    rules = TokenRules(
        issuer=auth.issuer,
        audiences=(auth.audience,) if isinstance(auth.audience, str) else tuple(auth.audience),
        algorithms=tuple(auth.algorithms),
        leeway=auth.leeway,
        claim=auth.principal,
        scopes=None if auth.scopes is None else {scope: tuple(tools) for scope, tools in auth.scopes.items()},
    )
    return TokenGuard(rules, key_sets.find(auth.jwks))


def with_keys(endpoint: Endpoint, keys: Mapping[str, Sequence[Key]], used: dict[str, float]) -> Endpoint:
    """The endpoint, opened by the keys of the store that its tenant has. `used` learns when each was used last."""
    mine, guard = keys.get(endpoint.tenant), endpoint.guard
    if not mine or not isinstance(guard, KeyRing):
        return endpoint
    return replace(endpoint, guard=guard.with_keys(mine, endpoint.prefix, used), views={})
