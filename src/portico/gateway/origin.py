"""Who may ask from where: the Host that was meant, the Origin of the page that asks, and CORS.

A page that a browser shows can reach a gateway on loopback through DNS rebinding; the two checks stop it
(specification 2026-07-28, streamable HTTP: Security).
"""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from portico.gateway.exchange import Reply, Request
from portico.gateway.routing.endpoint import CorsRules

LOOPBACK = ("localhost", "127.0.0.1", "[::1]")
_NAME = re.compile(r"(\[[^\[\]@]+\]|[^\[\]:@]+)(?::[0-9]*)?")


class HostRules:
    """`allowed` are host names, with a port to pin it; empty allows every name (a gateway beyond loopback)."""

    def __init__(self, allowed: tuple[str, ...]) -> None:
        self._allowed = frozenset(name.lower() for name in allowed)
        self._checked: dict[bytes, bool] = {}

    def allows_host(self, host: bytes) -> bool:
        """Whether a `Host` header names this gateway. It is asked for each request, so answers are remembered."""
        known = self._checked.get(host)
        if known is None:
            known = self._judge(host)
            if len(self._checked) < 1024:
                self._checked[host] = known
        return known

    def _judge(self, host: bytes) -> bool:
        text = host.decode("latin-1").strip().lower()
        if not text or len(text) > 300 or any(character in text for character in "/\\@ ,\t"):
            return False
        return not self._allowed or text in self._allowed or _without_port(text) in self._allowed

    def allows_origin(self, origin: str, host: bytes, cors: CorsRules | None) -> bool:
        """Whether a page of this origin may ask: one that the router lists, or a page of this gateway's own host."""
        origin = origin.strip(" \t")
        if cors is not None and cors.allows(origin):
            return True
        try:
            parts = urlsplit(origin.lower())
            name = parts.netloc
        except ValueError:
            return False
        if parts.scheme not in ("http", "https") or not name:
            return False
        if self._allowed:
            return name in self._allowed or _without_port(name) in self._allowed
        return name == host.decode("latin-1").strip().lower()


def _without_port(host: str) -> str:
    """The name alone, or nothing where the text is more than a name and a port."""
    match = _NAME.fullmatch(host)
    return match[1] if match is not None else ""


def preflight(request: Request, cors: CorsRules | None) -> Reply:
    """The answer to OPTIONS: what a page may send, or nothing of CORS for one that may not."""
    origin = request.headers.get(b"origin")
    allow = (b"allow", b"GET, POST, DELETE, OPTIONS")
    if cors is None or origin is None or not cors.allows(origin.decode("latin-1")):
        return Reply(204, headers=(allow,))
    wanted = request.headers.get(b"access-control-request-headers", b"")
    headers = wanted if cors.headers == b"*" and len(wanted) <= 4096 else cors.headers
    return Reply(
        204,
        headers=(
            allow,
            *cors_headers(cors, origin),
            (b"access-control-allow-methods", cors.methods),
            (b"access-control-allow-headers", headers),
            (b"access-control-max-age", cors.max_age),
        ),
    )


def cors_headers(cors: CorsRules, origin: bytes) -> tuple[tuple[bytes, bytes], ...]:
    """What lets the page read the reply. The origin is repeated, never `*`, so that credentials can be allowed."""
    headers = (
        (b"access-control-allow-origin", origin),
        (b"vary", b"Origin"),
        (b"access-control-expose-headers", cors.expose),
    )
    return (*headers, (b"access-control-allow-credentials", b"true")) if cors.credentials else headers
