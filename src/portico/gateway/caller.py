"""Who asks: the credential of a request, and the endpoint as its owner sees it. What is presented is judged on the
endpoint that the path led to, and on nothing that a header says of paths or hosts.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass

from portico.auth.principal import Guard, Principal, Refused
from portico.gateway.exchange import Request
from portico.gateway.routing.endpoint import Endpoint
from portico.gateway.routing.narrowing import narrow

log = logging.getLogger("portico.auth")


@dataclass(frozen=True, slots=True)
class Admitted:
    """`endpoint` is what the principal may use of the one that was asked for. An endpoint for everybody has callers
    without a principal."""

    principal: Principal | None
    endpoint: Endpoint


def known(request: Request, endpoint: Endpoint) -> Admitted | None:
    """Who asks, where that can be said at once; None for everybody else, good or bad."""
    guard = endpoint.guard
    if guard is None:
        return Admitted(None, endpoint)
    try:
        presented = credential(request, guard)
        principal = guard.known(presented) if presented is not None else None
    except Refused:
        return None
    return None if principal is None else Admitted(principal, narrow(endpoint, principal.tools))


async def admit(request: Request, endpoint: Endpoint, guard: Guard) -> Admitted:
    """Who asks, or Refused. Whatever goes wrong here, nobody gets in."""
    try:
        presented = credential(request, guard)
        if presented is None:
            raise Refused("A credential is needed here.")
        principal = await guard.verify(presented)
        return Admitted(principal, narrow(endpoint, principal.tools))
    except Refused:
        raise
    except Exception:
        log.exception("a credential for %s could not be judged", endpoint.prefix)
        raise Refused("The credential could not be judged.") from None


def still_seen(principal: Principal | None, endpoint: Endpoint) -> Endpoint | None:
    """The endpoint as somebody sees it who was admitted before; None for whom it is not any more."""
    guard = endpoint.guard
    if guard is None:
        return endpoint if principal is None else None
    now = guard.still(principal) if principal is not None else None
    return narrow(endpoint, now.tools) if now is not None else None


def credential(request: Request, guard: Guard) -> str | None:
    """What the request presents, from its headers alone: a credential in a URL would end up in logs. Refused where two
    headers present two of them, for somebody in front of us may have judged the other one."""
    bearer = _bearer(request.headers.get(b"authorization", b""))
    key = request.headers.get(b"x-api-key") if guard.takes_api_key_header else None
    if key is None:
        return bearer
    text = key.strip(b" \t").decode("latin-1")
    if bearer is not None and bearer != text:
        raise Refused("Authorization and X-API-Key present two different credentials.")
    return text or None


def _bearer(header: bytes) -> str | None:
    scheme, _, rest = header.strip(b" \t").partition(b" ")
    token = rest.strip(b" ").decode("latin-1")
    return token if scheme.lower() == b"bearer" and token and not any(c in token for c in " \t,") else None
