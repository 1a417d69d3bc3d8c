"""http://[TOKEN@]HOST:PORT: a POST to the admin listener of a gateway.

A name with several addresses, as a headless service of Kubernetes has, stands for a gateway at each of them.
"""

from __future__ import annotations

import asyncio
import socket

import msgspec

from portico.net.egress import Egress
from portico.net.errors import NetError
from portico.net.http_client import HttpClient
from portico.net.origin import Origin
from portico.notify.notifier import PATIENCE, NotifyError
from portico.notify.place import Place

PORT = 5239
MOST_ADDRESSES = 64


class Webhook:
    """`token` is the admin listener's; one in the URL wins. The operator chose the place: no egress policy is asked."""

    def __init__(self, place: Place, token: str) -> None:
        self._place = place
        self._token = place.user or token
        self.shown = place.shown

    async def announce(self, revision: str) -> None:
        await self._ask("POST /notify", msgspec.json.encode({"revision": revision}), 202)

    async def reach(self) -> None:
        await self._ask("GET /livez", b"", 200)

    async def _ask(self, what: str, body: bytes, wanted: int) -> None:
        """NotifyError when one of the addresses does not answer so."""
        ((name, port),) = self._place.hosts
        addresses = await self._addresses(name, port)
        client = HttpClient(Egress.parse("any"))
        try:
            asked = (self._send(client, address, port, self._head(what, body) + body, wanted) for address in addresses)
            found = await asyncio.gather(*asked)
        finally:
            await client.aclose()
        if failed := [why for why in found if why is not None]:
            raise NotifyError("; ".join(failed))

    async def close(self) -> None:
        """Nothing is kept open."""

    async def _addresses(self, name: str, port: int) -> list[str]:
        if self._place.scheme == "https":
            return [name]
        if name == "localhost":
            return ["127.0.0.1"]
        look = asyncio.get_running_loop().getaddrinfo(name, port, type=socket.SOCK_STREAM)
        try:
            found = await asyncio.wait_for(look, PATIENCE)
        except (OSError, TimeoutError):
            raise NotifyError(f"the name {name} is not known") from None
        return list(dict.fromkeys(str(entry[4][0]) for entry in found))[:MOST_ADDRESSES]

    def _head(self, what: str, body: bytes) -> bytes:
        host = self._place.shown.partition("://")[2].partition("/")[0]
        head = f"{what} HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\n"
        head += f"Content-Length: {len(body)}\r\n"
        if self._token:
            head += f"Authorization: Bearer {self._token}\r\n"
        return (head + "\r\n").encode("latin-1")

    async def _send(self, client: HttpClient, address: str, port: int, data: bytes, wanted: int) -> str | None:
        """What stands against it."""
        deadline = asyncio.get_running_loop().time() + PATIENCE
        try:
            answer = await client.send(
                Origin(self._place.scheme, address, port), data, deadline=deadline, first_byte=PATIENCE, idempotent=True
            )
        except (NetError, ValueError) as error:
            return self._place.clean(str(error))
        if answer.status == wanted:
            return None
        said = answer.body.decode("utf-8", "replace")
        return self._place.clean(f"{address}:{port} answered {answer.status}: {said}")
