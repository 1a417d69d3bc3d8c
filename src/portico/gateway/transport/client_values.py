"""Looks single values of the client's HTTP request up, for the templates that name them and for mirrored headers."""

from __future__ import annotations

from http.cookies import CookieError, SimpleCookie
from urllib.parse import parse_qsl

from portico.gateway.exchange import Request
from portico.gateway.protocol.call import ReadClient

_CREDENTIALS = frozenset((b"authorization", b"x-api-key"))


def reader(request: Request, *, guarded: bool) -> ReadClient:
    """A function that reads one header, query parameter or cookie; None where the client did not send it.

    On a guarded endpoint the credentials of the caller are ours, and go no further whatever a document says
    (specification 2026-07-28, security best practices: Token Passthrough).
    """

    def read(kind: str, name: str) -> str | None:
        if kind == "headers":
            key = name.lower().encode()
            value = None if guarded and key in _CREDENTIALS else request.headers.get(key)
            return None if value is None else value.decode("latin-1")
        if kind == "query":
            pairs = parse_qsl(request.query.decode("latin-1"), keep_blank_values=True, max_num_fields=200)
            return dict(pairs).get(name)
        return _cookie(request.headers.get(b"cookie", b"").decode("latin-1"), name)

    return read


def _cookie(header: str, name: str) -> str | None:
    try:
        jar = SimpleCookie(header)
    except CookieError:
        return None
    return jar[name].value if name in jar else None
