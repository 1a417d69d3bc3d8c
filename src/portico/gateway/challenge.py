"""What a stranger is told: how to get in, in a form that clients understand (specification 2026-07-28,
basic/authorization; RFC 6750, RFC 9728).
"""

from __future__ import annotations

from urllib.parse import quote

import msgspec

from portico.auth.principal import Guard, Refused
from portico.gateway.exchange import JSON, Reply
from portico.gateway.routing.endpoint import Endpoint
from portico.gateway.routing.table import METADATA_PATH

Headers = tuple[tuple[bytes, bytes], ...]


def challenge(endpoint: Endpoint, guard: Guard, refused: Refused, presented: bool, base: str) -> tuple[int, Headers]:
    """Status and headers of a refusal. `base` is where people reach the gateway, without a trailing slash."""
    parts = []
    if guard.issuer is not None:
        parts.append(f'resource_metadata="{quote(_metadata_url(endpoint, base), safe=_URL)}"')
        scopes = refused.scopes or guard.scopes
        if scopes:
            parts.append(f'scope="{" ".join(scopes)}"')
    if refused.scopes:
        parts.append('error="insufficient_scope"')
    elif presented:
        parts.append('error="invalid_token"')
    # The texts are ours, and free of quotes.
    parts.append(f'error_description="{refused.why}"' if presented else 'realm="portico"')
    return (403 if refused.scopes else 401), (
        (b"www-authenticate", f"Bearer {', '.join(parts)}".encode("ascii", "replace")),
    )


def explanation(guard: Guard, refused: Refused) -> str:
    if refused.scopes:
        return f"{refused.why} They are: {', '.join(refused.scopes)}."
    return f"{refused.why} {guard.how}"


def metadata(endpoint: Endpoint, guard: Guard, base: str) -> Reply:
    """Whose tokens open the endpoint (RFC 9728)."""
    audience = guard.audience
    own = f"{base}{endpoint.prefix.rstrip('/')}/mcp"
    body = {
        "resource": audience if audience.startswith(("https://", "http://")) else own,
        "resource_name": endpoint.title,
        "authorization_servers": [guard.issuer],
        "bearer_methods_supported": ["header"],
    }
    if guard.scopes:
        body["scopes_supported"] = list(guard.scopes)
    return Reply(200, msgspec.json.encode(body), (JSON, (b"cache-control", b"no-store")))


def _metadata_url(endpoint: Endpoint, base: str) -> str:
    # Behind a proxy that maps a sub-path, what lies under that path is all that reaches us.
    return f"{base}{METADATA_PATH}{endpoint.prefix.rstrip('/')}/mcp"


_URL = ":/?#[]@!$&'()*+,;=-._~%"
