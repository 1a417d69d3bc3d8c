"""How a connection comes about: resolve, ask the egress policy, connect to the very address it allowed, proxy, TLS."""

import asyncio
import contextlib
import functools
import os
import socket
import ssl
from collections.abc import Callable
from typing import Any, TypeVar

from portico.net.connection import Connection
from portico.net.egress import Egress, Lookup
from portico.net.errors import NetError, TimedOut, Unreachable
from portico.net.origin import Origin, Proxy
from portico.net.proxy import Handshake

_P = TypeVar("_P", bound=asyncio.Protocol)
# A peer that vanished without a word is noticed after about two minutes, also under a stream that has nothing to say.
_KEEPALIVE = (("TCP_KEEPIDLE", 60), ("TCP_KEEPINTVL", 15), ("TCP_KEEPCNT", 4))


@functools.cache
def tls_context(ca_file: str | None) -> ssl.SSLContext:
    """The one client context of this process for a trust store: the system's, and `ca_file` besides."""
    context = ssl.create_default_context()
    if ca_file is not None:
        context.load_verify_locations(ca_file)
    context.set_alpn_protocols(["http/1.1"])
    return context


class Dialer:
    def __init__(self, egress: Egress, lookup: Lookup, ca_file: str | None, seconds: float) -> None:
        self._egress = egress
        self._lookup = lookup
        self._ca_file = ca_file
        self._tls: ssl.SSLContext | None = None
        self._seconds = seconds

    async def dial(self, origin: Origin, make: Callable[[], Connection]) -> Connection:
        """A new connection to an origin. Raises a NetError with `sent` False. Must run in a task of its own."""
        try:
            async with asyncio.timeout(self._seconds):
                if self._tls is None and (origin.scheme == "https" or origin.proxy is not None):
                    # The system's authorities take 3 MB and 50 ms, which not every process needs.
                    self._tls = await asyncio.to_thread(tls_context, self._ca_file)
                if origin.unix is not None:
                    return await self._unix(origin, make)
                if origin.proxy is not None:
                    return await self._through(Proxy.parse(origin.proxy), origin, make)
                return await self._tcp(make, origin.host, origin.port, origin.scheme == "https")
        except NetError:
            raise
        except TimeoutError as error:
            raise TimedOut(f"{origin.name} did not accept a connection within {self._seconds:g} s") from error
        except (OSError, UnicodeError) as error:
            raise Unreachable(f"{origin.name} cannot be connected to: {_reason(error)}") from error

    async def _unix(self, origin: Origin, make: Callable[[], Connection]) -> Connection:
        loop = asyncio.get_running_loop()
        tls = {"ssl": self._tls, "server_hostname": origin.host} if origin.scheme == "https" else {}
        _, connection = await loop.create_unix_connection(make, origin.unix, **tls)
        return connection

    async def _tcp(self, make: Callable[[], _P], host: str, port: int, tls: bool) -> _P:
        addresses = await self._egress.resolve(host, port, self._lookup)
        options: dict[str, Any] = {"ssl": self._tls, "server_hostname": host} if tls else {}
        loop = asyncio.get_running_loop()
        for address in addresses[:-1]:
            try:
                return _kept_alive(*await loop.create_connection(make, address, port, **options))
            except OSError:
                continue
        return _kept_alive(*await loop.create_connection(make, addresses[-1], port, **options))

    async def _through(self, proxy: Proxy, origin: Origin, make: Callable[[], Connection]) -> Connection:
        self._egress.check_unresolved(origin.host)
        handshake = await self._tcp(lambda: Handshake(proxy), proxy.host, proxy.port, proxy.scheme == "https")
        transport = handshake.transport
        try:
            await handshake.connect(origin.host, origin.port)
            connection = make()
            if origin.scheme == "https":
                loop = asyncio.get_running_loop()
                assert self._tls is not None
                secured = await loop.start_tls(transport, connection, self._tls, server_hostname=origin.host)
                connection.connection_made(secured or transport)
            else:
                transport.set_protocol(connection)
                connection.connection_made(transport)
        except BaseException:
            transport.abort()
            raise
        return connection


def _kept_alive(transport: asyncio.BaseTransport, protocol: _P) -> _P:
    connected = transport.get_extra_info("socket")
    with contextlib.suppress(OSError):  # It may be lost already, which its protocol is about to be told.
        connected.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for name, value in _KEEPALIVE:
            if hasattr(socket, name):
                connected.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
    return protocol


def _reason(error: OSError | UnicodeError) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not valid: {error.verify_message}"
    if isinstance(error, ssl.SSLError):
        return f"TLS failed: {error.reason or error}"
    if isinstance(error, OSError) and error.errno is not None and error.errno > 0:
        return os.strerror(error.errno).lower()
    return "the name is not a valid one" if isinstance(error, UnicodeError) else str(error)
