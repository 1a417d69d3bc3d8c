"""Request heads: headers made unique, and the client's address and scheme found behind trusted proxies."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable

from portico.gateway.exchange import Headers

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
_MOST_HEADERS = 100
_MOST_BYTES = 32 * 1024
_MOST_PATH = 8 * 1024


class BadHead(Exception):
    """The request's head cannot be taken; `status` is 400, 414 or 431."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


def unique_headers(pairs: list[tuple[bytes, bytes]]) -> Headers:
    """Headers by lower-case name, or BadHead. Lists that were sent in several lines are joined; what must be one and
    is there twice is refused, so that nobody in front of us can have read the other one."""
    headers = dict(pairs)
    if len(pairs) > _MOST_HEADERS:
        raise BadHead(431, f"A request has at most {_MOST_HEADERS} headers.")
    if sum(len(name) + len(value) for name, value in pairs) > _MOST_BYTES:
        raise BadHead(431, f"The headers are larger than {_MOST_BYTES} bytes.")
    if len(headers) != len(pairs):
        headers = _join(pairs)
    if b"host" not in headers:
        raise BadHead(400, "The Host header is missing.")
    return headers


_LISTS = (b"accept", b"accept-", b"cache-control", b"cookie", b"forwarded", b"via", b"x-", b"access-control-", b"te")


def _join(pairs: list[tuple[bytes, bytes]]) -> Headers:
    headers: Headers = {}
    for name, value in pairs:
        if name not in headers:
            headers[name] = value
        elif name.startswith(_LISTS):
            headers[name] += (b"; " if name == b"cookie" else b", ") + value
        else:
            raise BadHead(400, f"The header {name.decode('latin-1')[:64]} is there twice.")
    return headers


def check_path(raw: bytes, query: bytes) -> None:
    if len(raw) + len(query) > _MOST_PATH:
        raise BadHead(414, f"The URL is longer than {_MOST_PATH} bytes.")


class TrustedProxies:
    """Whom we believe about the client: `networks` of the proxies in front of us."""

    def __init__(self, networks: Iterable[str]) -> None:
        self._networks: list[Network] = [ipaddress.ip_network(text, strict=False) for text in networks]

    def client(self, peer: str, scheme: str, headers: Headers) -> tuple[str, str]:
        """Address and scheme of the client: the last hop of `X-Forwarded-For` that is not a trusted proxy."""
        if not self._networks or not self._trusts(peer):
            return peer, scheme
        address = peer
        hops = headers.get(b"x-forwarded-for", b"").decode("latin-1").split(",")
        for hop in reversed([hop.strip() for hop in hops if hop.strip()]):
            if _parse(hop) is None:
                break
            address = hop
            if not self._trusts(hop):
                break
        proto = headers.get(b"x-forwarded-proto", b"").decode("latin-1").strip().lower()
        return address, proto if proto in ("http", "https") else scheme

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
