"""Where an upstream is reached over HTTP: rendered requests to its URL, with the headers of the document.

Outbound headers are built from nothing but the document and what the gateway hands over; what the document configures
always wins. The name for messages leaves out path and query, for they may hold a secret.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Self
from urllib.parse import urljoin, urlsplit

from portico import __version__
from portico.net.errors import Malformed, Rejected
from portico.net.origin import Origin, authority
from portico.upstream.mcp.upstream import McpSpec

_OWN = frozenset(
    (
        "accept",
        "accept-encoding",
        "connection",
        "content-length",
        "content-type",
        "cookie",
        "expect",
        "host",
        "keep-alive",
        "last-event-id",
        "mcp-session-id",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    )
)
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+").fullmatch
_CONTROL = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]").search
_TARGET = re.compile(r"[\x21-\x7e]+").fullmatch


class Target:
    """Raises Rejected, naming the upstream, for a URL or a header that cannot be used."""

    def __init__(self, spec: McpSpec, url: str | None = None) -> None:
        self._spec = spec
        parts = urlsplit(url or spec.url or "")
        scheme = parts.scheme.lower()
        try:
            port = parts.port or (443 if scheme == "https" else 80)
            host = parts.hostname or ""
            host = host if ":" in host else host.encode("idna").decode()
            self.origin = Origin(scheme, host, port, spec.proxy)
        except (ValueError, UnicodeError) as error:
            raise Rejected(f"The upstream {spec.name} has a URL that cannot be called: {error}") from None
        self.name = f"{spec.name} ({scheme}://{parts.netloc.rpartition('@')[2]})"
        self.url = parts.geturl()
        path = parts.path or "/"
        self._target = f"{path}?{parts.query}" if parts.query else path
        if not _TARGET(self._target):
            raise Rejected(f"The upstream {spec.name} has a URL that is not encoded: write it in ASCII, with %20 …")
        shown = authority(host, port)
        shown = shown.rpartition(":")[0] if port == (443 if scheme == "https" else 80) else shown
        common = f" HTTP/1.1\r\nHost: {shown}\r\nUser-Agent: portico/{__version__}\r\n".encode()
        self._configured = {name.lower() for name, _ in spec.headers}
        common += b"".join(self._line(name, value) for name, value in spec.headers)
        target = self._target.encode()
        self._post = b"POST %b%bContent-Type: application/json\r\nAccept: application/json, text/event-stream\r\n" % (
            target,
            common,
        )
        self._get = b"GET %b%bAccept: text/event-stream\r\nCache-Control: no-store\r\n" % (target, common)
        self._delete = b"DELETE %b%b" % (target, common)

    def at(self, reference: str) -> Self:
        """The same upstream at a URL that it named, which must keep the origin."""
        url = urljoin(self.url, reference)
        other = type(self)(self._spec, url)
        if other.origin != self.origin:
            raise Malformed(f"{self.name} named an endpoint on another origin, {other.origin.name}")
        return other

    def lines(self, headers: Mapping[str, str], *, legacy: bool = False) -> bytes:
        """Header lines for one request. Those that are ours or the document's are left out."""
        return b"".join(
            self._line(name, value)
            for name, value in headers.items()
            if (folded := name.lower()) not in _OWN
            and folded not in self._configured
            and not (legacy and folded == "mcp-protocol-version")
        )

    def header(self, name: str, value: str) -> bytes:
        """One header of the protocol's own."""
        return self._line(name, value)

    def post(self, lines: bytes, body: bytes) -> bytes:
        return b"%b%bContent-Length: %d\r\n\r\n%b" % (self._post, lines, len(body), body)

    def get(self, lines: bytes, last_id: bytes | None = None) -> bytes:
        resume = b"Last-Event-ID: %b\r\n" % last_id if last_id is not None and not _CONTROL(last_id) else b""
        return b"%b%b%b\r\n" % (self._get, lines, resume)

    def delete(self, lines: bytes) -> bytes:
        return b"%b%b\r\n" % (self._delete, lines)

    def hidden(self, text: str) -> str:
        """The text without the values of configured headers, which may be secrets."""
        for _, value in self._spec.headers:
            for part in (value, value.rpartition(" ")[2]):
                if len(part) >= 6:
                    text = text.replace(part, "REDACTED")
        return text

    def _line(self, name: str, value: str) -> bytes:
        encoded = value.encode("latin-1") if value.isascii() else value.encode()
        if not _TOKEN(name) or _CONTROL(encoded):
            raise Rejected(f"The header {name!r} for the upstream {self._spec.name} holds what a header cannot carry")
        return b"%b: %b\r\n" % (name.encode(), encoded.strip(b" \t"))
