"""Framing of server-sent events (WHATWG HTML, section 9.2)."""

from __future__ import annotations

KEEP_ALIVE = b": keep-alive\n\n"


def event(data: bytes, *, name: bytes = b"message", identifier: str | None = None) -> bytes:
    """One event. JSON has no raw line breaks, but a carriage return or line feed in `data` must never end it early."""
    if b"\n" in data or b"\r" in data:
        data = b"\ndata: ".join(data.replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n"))
    if identifier is None:
        return b"event: %b\ndata: %b\n\n" % (name, data)
    return b"event: %b\nid: %b\ndata: %b\n\n" % (name, identifier.encode(), data)


def priming(identifier: str, retry_ms: int) -> bytes:
    """An event without content: it gives the client an id to resume from (specification 2025-11-25, transports)."""
    return b"id: %b\nretry: %d\ndata: \n\n" % (identifier.encode(), retry_ms)
