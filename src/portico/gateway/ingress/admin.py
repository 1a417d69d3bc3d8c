"""The admin listener: figures, reload, and how the documents fare. Never on the public one."""

from __future__ import annotations

import asyncio
import hmac
from collections.abc import Awaitable, Callable
from typing import Annotated, Any, Protocol
from urllib.parse import unquote

import msgspec

from portico.gateway.exchange import JSON, Reply, Request, text_reply
from portico.gateway.origin import LOOPBACK, HostRules
from portico.observe.exposition import exposition


class Message(msgspec.Struct, forbid_unknown_fields=True):
    """What a notifier says. There is no room in it for a configuration."""

    revision: Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9._/-]{0,128}$")]


class Asks(Protocol):
    async def ask_all(self, question: str, about: str = "") -> list[Any]: ...


class Admin:
    """`token` is needed where the listener is not on loopback. `ask_self` answers for a worker without peers."""

    def __init__(self, peers: Asks, ask_self: Callable[[str, str], Awaitable[Any]], token: str | None) -> None:
        self._peers = peers
        self._ask_self = ask_self
        self._token = token
        self._hosts = HostRules(LOOPBACK)

    async def handle(self, request: Request) -> Reply:
        if self._may_be_a_page(request):
            return text_reply(
                403, "Without a token the admin listener answers programs of this machine, and no web page."
            )
        if not self._admits(request):
            return text_reply(
                401, "Send Authorization: Bearer and the admin token.", ((b"www-authenticate", b"Bearer"),)
            )
        route = (request.method, request.path)
        if route == ("GET", b"/livez"):
            return text_reply(200, "alive")
        if route == ("GET", b"/metrics"):
            figures = await self._ask("figures")
            # With thousands of tools this takes long, and calls must not wait for it.
            body = await asyncio.to_thread(exposition, figures)
            return Reply(200, body, ((b"content-type", b"text/plain; version=0.0.4; charset=utf-8"),))
        if route == ("GET", b"/status"):
            return Reply(200, msgspec.json.format(msgspec.json.encode(await self._ask("status"))), (JSON,))
        if route == ("GET", b"/inspect"):
            prefix = unquote(request.query.decode("latin-1"))
            return Reply(200, msgspec.json.encode(await self._ask("inspect", prefix)), (JSON,))
        if route == ("POST", b"/reload"):
            return self._reloaded(await self._ask("reload"))
        if route == ("POST", b"/notify"):
            return await self._notified(request.body)
        return text_reply(
            404,
            "The admin listener has GET /metrics, GET /status, GET /livez, GET /inspect?PREFIX, POST /reload and"
            " POST /notify.",
        )

    async def _ask(self, question: str, about: str = "") -> list[Any]:
        answers = await self._peers.ask_all(question, about)
        return answers or [await self._ask_self(question, about)]

    async def _notified(self, body: bytes) -> Reply:
        """The workers look at the store by themselves, so whoever tells does not wait for it."""
        try:
            message = msgspec.json.decode(body, type=Message)
        except msgspec.DecodeError as error:
            return text_reply(400, f'Send {{"revision": "N"}} and nothing else: {error}.')
        answers = await self._ask("notify", message.revision)
        return Reply(202, msgspec.json.encode({"workers": len(answers)}), (JSON,))

    def _reloaded(self, reports: list[Any]) -> Reply:
        """One report for all workers: what one could not load, none could, for they read the same store."""
        worst = max(reports, key=lambda report: len(report["problems"]))
        return Reply(200, msgspec.json.encode({**worst, "workers": len(reports)}), (JSON,))

    def _may_be_a_page(self, request: Request) -> bool:
        """Whether a browser may be asking for some web page, by a form or under a name that was bound to loopback."""
        return self._token is None and (b"origin" in request.headers or not self._hosts.allows_host(request.host))

    def _admits(self, request: Request) -> bool:
        if self._token is None:
            return True
        given = request.headers.get(b"authorization", b"")
        return hmac.compare_digest(given, b"Bearer " + self._token.encode())
