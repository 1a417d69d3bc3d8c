"""MCP spoken by hand over HTTP, where a test must know which connection a message takes. Both eras.

One `httpx.AsyncClient` of `connection()` is one TCP connection, and so stays with one worker.
"""

import inspect
import json
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import anyio
import httpx
from tests.e2e.processes import WAIT

MODERN, LEGACY = "2026-07-28", "2025-11-25"
BOTH = "application/json, text/event-stream"
CALL_ID = "portico/callId"
SUBSCRIPTION = "io.modelcontextprotocol/subscriptionId"
META = {
    "io.modelcontextprotocol/protocolVersion": MODERN,
    "io.modelcontextprotocol/clientCapabilities": {},
}


async def eventually(look: Callable[[], Any], what: str, within: float = WAIT) -> None:
    """Wait until `look` finds something true, which it may also do as a coroutine."""
    with anyio.move_on_after(within):
        while True:
            found = look()
            if await found if inspect.isawaitable(found) else found:
                return
            await anyio.sleep(0.005)
    raise AssertionError(f"{what}: not seen within {within} s")


def connection() -> httpx.AsyncClient:
    return httpx.AsyncClient(
        limits=httpx.Limits(max_connections=1), timeout=WAIT, trust_env=False, verify=False, headers={"accept": BOTH}
    )


def modern_request(
    method: str,
    params: Mapping[str, Any] | None = None,
    identifier: int | str = 1,
    meta: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """The arguments of a POST in the modern era."""
    given = dict(params or {})
    headers = {"mcp-protocol-version": MODERN, "mcp-method": method}
    name = given.get("name") or given.get("uri")
    if name is not None:
        headers["mcp-name"] = name
    given["_meta"] = {**META, **(meta or {})}
    return {"headers": headers, "json": {"jsonrpc": "2.0", "id": identifier, "method": method, "params": given}}


async def ask(
    http: httpx.AsyncClient, url: str, method: str, params: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """A result in the modern era; anything else fails the test."""
    return result_of(await http.post(url, **modern_request(method, params)))


def result_of(answer: httpx.Response) -> dict[str, Any]:
    assert answer.status_code == 200, f"{answer.status_code}: {answer.text}"
    body = answer.json()
    assert "result" in body, body
    return body["result"]


def worker_of(result: Mapping[str, Any]) -> str:
    """The name of the worker that answered."""
    return result["_meta"][CALL_ID].partition("-")[0]


async def connection_to(url: str, wanted: str) -> httpx.AsyncClient:
    """A connection that a worker of this name has accepted: as many are opened as it takes."""
    others = []
    try:
        with anyio.fail_after(WAIT):
            while True:
                http = connection()
                if worker_of(await ask(http, url, "server/discover")) == wanted:
                    return http
                others.append(http)
    finally:
        for other in others:
            await other.aclose()


@dataclass(frozen=True)
class Event:
    name: str
    identifier: str | None
    data: str

    @property
    def message(self) -> dict[str, Any]:
        return json.loads(self.data)


class Events:
    """An open event stream."""

    def __init__(self, response: httpx.Response) -> None:
        self.response = response
        self._lines = response.aiter_lines()

    async def next(self, within: float = WAIT) -> Event:
        """The next event that has content, or StopAsyncIteration at the end of the stream."""
        with anyio.fail_after(within):
            while True:
                fields: dict[str, list[str]] = {}
                while line := await anext(self._lines):
                    name, _, value = line.partition(":")
                    fields.setdefault(name, []).append(value.removeprefix(" "))
                data = "\n".join(fields.get("data", ()))
                if data:
                    return Event(fields.get("event", ["message"])[0], fields.get("id", [None])[0], data)

    async def message(self, within: float = WAIT) -> dict[str, Any]:
        return (await self.next(within)).message

    async def rest(self, within: float = WAIT) -> list[dict[str, Any]]:
        """Every message up to the end of the stream."""
        found = []
        with anyio.fail_after(within):
            while True:
                try:
                    found.append(await self.message())
                except StopAsyncIteration:
                    return found


@asynccontextmanager
async def stream(http: httpx.AsyncClient, method: str, url: str, **more: Any) -> AsyncIterator[Events]:
    timeout = httpx.Timeout(WAIT, read=None)
    async with http.stream(method, url, timeout=timeout, **more) as response:
        if response.status_code != 200:
            await response.aread()
            raise AssertionError(f"{response.status_code}: {response.text}")
        assert response.headers["content-type"] == "text/event-stream"
        yield Events(response)


@asynccontextmanager
async def listening(http: httpx.AsyncClient, url: str, identifier: str, **kinds: Any) -> AsyncIterator[Events]:
    """A subscription of the modern era, acknowledged."""
    request = modern_request("subscriptions/listen", {"notifications": kinds}, identifier)
    async with stream(http, "POST", url, **request) as events:
        told = await events.message()
        assert told["method"] == "notifications/subscriptions/acknowledged", told
        assert told["params"]["_meta"] == {SUBSCRIPTION: identifier}
        yield events


class Session:
    """A session of the handshake era over streamable HTTP. Any connection can carry its messages."""

    def __init__(self, url: str, identifier: str) -> None:
        self.url = url
        self.identifier = identifier
        self._count = 0

    @property
    def worker(self) -> str:
        return self.identifier.partition(".")[0]

    @property
    def headers(self) -> dict[str, str]:
        return {"mcp-session-id": self.identifier, "mcp-protocol-version": LEGACY}

    def body(
        self, method: str, params: Mapping[str, Any] | None = None, identifier: int | None = None
    ) -> dict[str, Any]:
        if identifier is None:
            self._count += 1
            identifier = self._count
        return {"jsonrpc": "2.0", "id": identifier, "method": method, "params": dict(params or {})}

    async def post(self, http: httpx.AsyncClient, body: Mapping[str, Any]) -> httpx.Response:
        return await http.post(self.url, json=body, headers=self.headers)

    async def ask(
        self,
        http: httpx.AsyncClient,
        method: str,
        params: Mapping[str, Any] | None = None,
        identifier: int | None = None,
    ) -> dict[str, Any]:
        return result_of(await self.post(http, self.body(method, params, identifier)))

    async def tell(self, http: httpx.AsyncClient, method: str, params: Mapping[str, Any]) -> httpx.Response:
        return await self.post(http, {"jsonrpc": "2.0", "method": method, "params": params})

    def standing(self, http: httpx.AsyncClient, last: str | None = None) -> Any:
        """The GET stream, resumed after an event id if one is given."""
        more = {} if last is None else {"last-event-id": last}
        return stream(http, "GET", self.url, headers={**self.headers, **more})

    async def end(self, http: httpx.AsyncClient) -> httpx.Response:
        return await http.delete(self.url, headers=self.headers)


def hello(version: str = LEGACY) -> dict[str, Any]:
    return {"protocolVersion": version, "capabilities": {}, "clientInfo": {"name": "by hand", "version": "1"}}


async def shake_hands(http: httpx.AsyncClient, url: str) -> Session:
    body = {"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": hello()}
    answer = await http.post(url, json=body)
    result_of(answer)
    session = Session(url, answer.headers["mcp-session-id"])
    assert (await session.tell(http, "notifications/initialized", {})).status_code == 202
    return session


class SseSession:
    """A conversation over the SSE transport: the stream, and where to POST."""

    def __init__(self, events: Events, url: str) -> None:
        self.events = events
        self.url = url

    @property
    def worker(self) -> str:
        return self.url.partition("sessionId=")[2].partition(".")[0]

    async def send(self, http: httpx.AsyncClient, body: Mapping[str, Any]) -> None:
        answer = await http.post(self.url, json=body)
        assert answer.status_code == 202, f"{answer.status_code}: {answer.text}"

    async def ask(
        self, http: httpx.AsyncClient, method: str, params: Mapping[str, Any] | None = None, identifier: int = 1
    ) -> dict[str, Any]:
        """The answer, which is expected to be the next message of the stream."""
        await self.send(http, {"jsonrpc": "2.0", "id": identifier, "method": method, "params": dict(params or {})})
        message = await self.events.message()
        assert message.get("id") == identifier, message
        return message["result"]


@asynccontextmanager
async def sse(
    stream_http: httpx.AsyncClient, post_http: httpx.AsyncClient, base: str, prefix: str
) -> AsyncIterator[SseSession]:
    async with stream(stream_http, "GET", f"{base}{prefix}/sse") as events:
        endpoint = await events.next()
        assert endpoint.name == "endpoint"
        session = SseSession(events, f"{base}{endpoint.data}")
        await session.ask(post_http, "initialize", hello(), 0)
        await session.send(post_http, {"jsonrpc": "2.0", "method": "notifications/initialized"})
        yield session
