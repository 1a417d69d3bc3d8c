"""What is said to a proxy before the connection is ours: CONNECT (RFC 9110, 9.3.6) and SOCKS5 (RFC 1928, 1929).

CONNECT serves targets of both schemes: requests come rendered in origin form, which a plain forwarding proxy would
not understand. In both protocols the proxy resolves the target's name.
"""

import asyncio
import base64
import re
from ipaddress import IPv4Address
from typing import Any

from portico.net.addresses import parse_address
from portico.net.errors import Malformed, Unreachable
from portico.net.origin import Proxy, authority

_ANSWER_AT_MOST = 16 * 1024
_STATUS = re.compile(rb"HTTP/1\.[01] ([0-9]{3})")
_SOCKS_REFUSALS = {
    1: "general failure",
    2: "not allowed by its rules",
    3: "network unreachable",
    4: "host unreachable",
    5: "connection refused",
    6: "expired on the way",
    7: "command not supported",
    8: "kind of address not supported",
}


class Handshake(asyncio.Protocol):
    """A conversation on a connection that has not yet got its final protocol."""

    def __init__(self, proxy: Proxy) -> None:
        self.transport: Any = None
        self._proxy = proxy
        self._received = bytearray()
        self._closed = False
        self._waiter: asyncio.Future[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self._received += data
        if len(self._received) > _ANSWER_AT_MOST:
            self._closed = True
            self.transport.abort()
        self._wake()

    def eof_received(self) -> None:
        self._closed = True
        self._wake()

    def connection_lost(self, exc: Exception | None) -> None:
        self._closed = True
        self._wake()

    async def connect(self, host: str, port: int) -> None:
        """Asks the proxy for a connection. Raises Unreachable or Malformed; bounded by the caller's time."""
        if self._proxy.scheme in ("http", "https"):
            await self._connect(host, port)
        else:
            await self._socks(host, port)
        if self._received:
            raise Malformed(f"The {self._proxy.name} spoke before it was asked")

    async def _connect(self, host: str, port: int) -> None:
        target = authority(host, port)
        lines = [f"CONNECT {target} HTTP/1.1", f"Host: {target}"]
        if self._proxy.username is not None:
            credentials = f"{self._proxy.username}:{self._proxy.password}".encode()
            lines.append(f"Proxy-Authorization: Basic {base64.b64encode(credentials).decode()}")
        self.transport.write("\r\n".join([*lines, "\r\n"]).encode())
        while (end := self._received.find(b"\r\n\r\n")) < 0:
            await self._more()
        status = _STATUS.match(await self._take(end + 4))
        if status is None:
            raise Malformed(f"The {self._proxy.name} did not answer in HTTP/1.1")
        if not status[1].startswith(b"2"):
            raise Unreachable(f"The {self._proxy.name} refused to connect to {target} with status {status[1].decode()}")

    async def _socks(self, host: str, port: int) -> None:
        with_password = self._proxy.username is not None
        self.transport.write(b"\x05\x02\x00\x02" if with_password else b"\x05\x01\x00")
        version, method = await self._take(2)
        if version != 5:
            raise Malformed(f"The {self._proxy.name} did not answer in SOCKS5")
        if method == 2 and with_password:
            await self._authenticate()
        elif method != 0:
            raise Unreachable(f"The {self._proxy.name} wants a kind of authentication that it was not given")
        self.transport.write(b"\x05\x01\x00" + _socks_address(host) + port.to_bytes(2, "big"))
        version, reply, _, kind = await self._take(4)
        if version != 5:
            raise Malformed(f"The {self._proxy.name} did not answer in SOCKS5")
        if reply:
            why = _SOCKS_REFUSALS.get(reply, f"reply {reply}")
            raise Unreachable(f"The {self._proxy.name} could not connect to {authority(host, port)}: {why}")
        lengths = {1: 4, 4: 16}
        await self._take((lengths[kind] if kind in lengths else (await self._take(1))[0]) + 2)

    async def _authenticate(self) -> None:
        name, password = (self._proxy.username or "").encode(), self._proxy.password.encode()
        self.transport.write(b"\x01" + bytes([len(name)]) + name + bytes([len(password)]) + password)
        if (await self._take(2))[1] != 0:
            raise Unreachable(f"The {self._proxy.name} refused the user name and password")

    async def _take(self, size: int) -> bytes:
        while len(self._received) < size:
            await self._more()
        taken = bytes(self._received[:size])
        del self._received[:size]
        return taken

    async def _more(self) -> None:
        if self._closed:
            raise Unreachable(f"The {self._proxy.name} closed the connection")
        self._waiter = asyncio.get_running_loop().create_future()
        await self._waiter

    def _wake(self) -> None:
        waiter, self._waiter = self._waiter, None
        if waiter is not None and not waiter.done():
            waiter.set_result(None)


def _socks_address(host: str) -> bytes:
    address = parse_address(host)
    if address is None:
        name = host.encode("ascii")
        if len(name) > 255:
            raise Unreachable("A host name of more than 255 bytes cannot be asked of a SOCKS5 proxy")
        return b"\x03" + bytes([len(name)]) + name
    return (b"\x01" if isinstance(address, IPv4Address) else b"\x04") + address.packed
