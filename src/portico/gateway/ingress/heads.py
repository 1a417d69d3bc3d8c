"""Request heads: headers made unique, and the client's address and scheme found behind trusted proxies."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable
from dataclasses import dataclass

from portico.gateway.exchange import Headers

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


@dataclass(frozen=True, slots=True)
class HeadLimits:
    """Bytes of the URL with its query, how many headers there may be, and their bytes together."""

    url: int = 8 * 1024
    headers: int = 100
    size: int = 32 * 1024

    def too_long(self) -> BadHead:
        return BadHead(414, f"The URL is longer than {self.url} bytes.")

    def too_many(self) -> BadHead:
        return BadHead(431, f"A request has at most {self.headers} headers.")

    def too_large(self) -> BadHead:
        return BadHead(431, f"The headers are larger than {self.size} bytes.")


class BadHead(Exception):
    """The request's head cannot be taken; `status` is 400, 414 or 431."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


# Fields that are lists, so that several lines say what one would (RFC 9110, section 5.3); and extensions, which are
# for whoever reads them to judge.
_LISTS = (b"accept", b"cache-control", b"cookie", b"forwarded", b"via", b"x-", b"te", b"baggage", b"tracestate")


def unique_headers(pairs: list[tuple[bytes, bytes]], limits: HeadLimits) -> Headers:
    """Headers by lower-case name, or BadHead."""
    headers = dict(pairs)
    if len(pairs) > limits.headers:
        raise limits.too_many()
    if sum(len(name) + len(value) for name, value in pairs) > limits.size:
        raise limits.too_large()
    if len(headers) != len(pairs):
        headers = {}
        for name, value in pairs:
            headers[name] = join_header(name, headers[name], value) if name in headers else value
    if b"host" not in headers:
        raise BadHead(400, "The Host header is missing.")
    return headers


def join_header(name: bytes, first: bytes, second: bytes) -> bytes:
    """Two lines of one header as one, or BadHead: of what must be one, somebody in front of us may have read the
    other."""
    if not name.startswith(_LISTS):
        raise BadHead(400, f"The header {name.decode('latin-1')[:64]} is there twice.")
    return first + (b"; " if name == b"cookie" else b", ") + second


def names_host(target: bytes, host: bytes) -> bool:
    """Whether a target that is not a path is `*`, or a URL of this very host (RFC 9112, section 3.2)."""
    if target == b"*":
        return True
    scheme, _, rest = target.partition(b"://")
    return scheme.lower() in (b"http", b"https") and re.split(rb"[/?#]", rest, maxsplit=1)[0].lower() == host.lower()


def framing(method: bytes, version: str, headers: Headers) -> bytes:
    """A head that says where the body of a request ends, and nothing else of it."""
    kept = [(name, headers[name]) for name in (b"content-length", b"transfer-encoding") if name in headers]
    lines = [b"%b / HTTP/%b" % (method, version.encode()), *(b"%b: %b" % pair for pair in kept)]
    if b"close" in headers.get(b"connection", b"").lower():
        lines.append(b"connection: close")
    return b"\r\n".join(lines) + b"\r\n\r\n"


class TrustedProxies:
    """Whom we believe about the client: `networks` of the proxies in front of us."""

    def __init__(self, networks: Iterable[str]) -> None:
        self._networks: list[Network] = [ipaddress.ip_network(text, strict=False) for text in networks]

    def client(self, peer: str, scheme: str, headers: Headers) -> tuple[str, str, bool]:
        """Address and scheme of the client: the last hop of `X-Forwarded-For` that is not a trusted proxy. The last
        value says that no other worker handed the request over."""
        if not self._networks or not self._trusts(peer):
            return peer, scheme, False
        address = peer
        hops = headers.get(b"x-forwarded-for", b"").decode("latin-1").split(",")
        for hop in reversed([hop.strip() for hop in hops if hop.strip()]):
            if _parse(hop) is None:
                break
            address = hop
            if not self._trusts(hop):
                break
        proto = headers.get(b"x-forwarded-proto", b"").decode("latin-1").strip().lower()
        return address, proto if proto in ("http", "https") else scheme, False

    def _trusts(self, text: str) -> bool:
        address = _parse(text)
        return address is not None and any(address in network for network in self._networks)


def _parse(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        address = ipaddress.ip_address(text.strip("[]"))
    except ValueError:
        return None
    mapped = getattr(address, "ipv4_mapped", None)
    return mapped or address
