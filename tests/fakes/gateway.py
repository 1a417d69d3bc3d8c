"""A real gateway worker in this process, on a free port, from documents given as text, in front of a scripted REST
service; and clients of both eras that leave every header to the test.
"""

import asyncio
import contextlib
import io
import json
import logging
import secrets
import socket
from collections.abc import AsyncIterator, Iterable, Mapping
from pathlib import Path
from typing import Any

import httpx
import uvicorn
from tests.fakes import rest as rest_service
from tests.fakes.http_wire import Event, Reply, Wire, request
from tests.fakes.rest import Rest

from portico.apps import limits
from portico.apps.sockets import listen
from portico.apps.worker import Place, Worker
from portico.gateway.ingress.asgi import GatewayApp
from portico.gateway.ingress.heads import TrustedProxies
from portico.settings import Settings

MODERN = "2026-07-28"
LEGACY = "2025-11-25"
PATIENCE = 5.0
_META = "io.modelcontextprotocol/"

Pairs = Iterable[tuple[str, str]]


class Gateway:
    """`log()` is everything that the process would have written: access lines on one side, the log on the other."""

    def __init__(self, directory: Path, rest: Rest, port: int, admin_port: int | None) -> None:
        self.directory = directory
        self.rest = rest
        self.port = port
        self.admin_port = admin_port
        self.host = f"127.0.0.1:{port}"
        self.url = f"http://{self.host}"
        self.stop = asyncio.Event()
        self.http = httpx.AsyncClient(base_url=self.url, timeout=PATIENCE)
        self._out, self._err = io.BytesIO(), io.StringIO()
        self.worker: Worker
        self.key = b""

    # One request, and its answer --------------------------------------------------------------------------------------

    async def connect(self) -> Wire:
        return await Wire.connect(self.port)

    async def send(
        self,
        method: str,
        target: str,
        headers: Mapping[str, str | None] | None = None,
        body: bytes = b"",
        *,
        more: Pairs = (),
        port: int | None = None,
    ) -> Reply:
        """One request on a connection of its own. A header of None is left out, Host included; `more` adds pairs."""
        wire = await Wire.connect(port or self.port)
        try:
            await wire.send(self.encode(method, target, headers, body, more=more))
            return await wire.reply(without_body=method == "HEAD")
        finally:
            wire.abort()

    def encode(
        self,
        method: str,
        target: str,
        headers: Mapping[str, str | None] | None = None,
        body: bytes = b"",
        *,
        more: Pairs = (),
    ) -> bytes:
        """The request's bytes, with the headers that every client sends unless the test says otherwise."""
        settled: dict[str, str | None] = {"Host": self.host}
        if method == "POST":
            settled |= {"Content-Type": "application/json", "Content-Length": str(len(body))}
            settled |= {"Accept": "application/json, text/event-stream"}
        names = {name.lower(): name for name in settled}
        for name, value in (headers or {}).items():
            settled[names.get(name.lower(), name)] = value
        pairs = [(name, value) for name, value in settled.items() if value is not None]
        return request(method, target, [*pairs, *more], body)

    async def stream(
        self, method: str, target: str, headers: Mapping[str, str | None] | None = None, body: bytes = b""
    ) -> tuple[Wire, Reply]:
        """A request whose answer is read event by event. The test aborts the connection when it has seen enough."""
        wire = await self.connect()
        await wire.send(self.encode(method, target, headers, body))
        head = await wire.head()
        assert head.headers.get("content-type") == "text/event-stream", (head.status, head.headers)
        return wire, head

    # MCP --------------------------------------------------------------------------------------------------------------

    async def modern(
        self,
        method: str,
        params: dict[str, Any] | None = None,
        *,
        path: str = "/users",
        headers: Mapping[str, str | None] | None = None,
        meta: dict[str, Any] | None = None,
        identifier: Any = 1,
    ) -> Reply:
        body = modern_body(method, params, meta, identifier)
        return await self.send("POST", f"{path}/mcp", modern_headers(method, params) | dict(headers or {}), body)

    async def modern_stream(
        self,
        method: str,
        params: dict[str, Any] | None = None,
        *,
        path: str = "/users",
        meta: dict[str, Any] | None = None,
        identifier: Any = 1,
    ) -> Wire:
        body = modern_body(method, params, meta, identifier)
        wire, _ = await self.stream("POST", f"{path}/mcp", modern_headers(method, params), body)
        return wire

    async def open(self, version: str = LEGACY, path: str = "/users") -> "LegacyClient":
        """A handshake, and what it opened."""
        params = {"protocolVersion": version, "capabilities": {}, "clientInfo": {"name": "test", "version": "1"}}
        reply = await self.send("POST", f"{path}/mcp", {}, body("initialize", params))
        assert reply.status == 200, reply.text
        return LegacyClient(self, path, reply.headers["mcp-session-id"], reply)

    async def open_sse(self, path: str = "/users", version: str = "2024-11-05") -> "SseClient":
        wire, head = await self.stream("GET", f"{path}/sse", {"Accept": "text/event-stream"})
        announced = await wire.event()
        assert announced is not None
        client = SseClient(self, wire, head, announced)
        params = {"protocolVersion": version, "capabilities": {}, "clientInfo": {"name": "test", "version": "1"}}
        await client.request("initialize", params)
        return client

    # The world around -------------------------------------------------------------------------------------------------

    def write(self, name: str, text: str) -> None:
        (self.directory / name).write_text(text.replace("REST", self.rest.url))

    async def reload(self) -> dict[str, Any]:
        return await self.worker.reload()

    def lines(self) -> list[dict[str, Any]]:
        """The access log, parsed."""
        self.worker.world.access_log.flush()
        return [json.loads(line) for line in self._out.getvalue().splitlines()]

    def log(self) -> str:
        return self._err.getvalue()


class LegacyClient:
    """A session over streamable HTTP."""

    def __init__(self, gateway: Gateway, path: str, identifier: str, opened: Reply) -> None:
        self.gateway = gateway
        self.path = path
        self.identifier = identifier
        self.opened = opened
        self.version: str = opened.result["protocolVersion"]
        self._count = 100

    def headers(self, more: Mapping[str, str | None] | None = None) -> dict[str, str | None]:
        return {"Mcp-Session-Id": self.identifier, "MCP-Protocol-Version": self.version} | dict(more or {})

    async def request(
        self,
        method: str,
        params: dict[str, Any] | None = None,
        *,
        headers: Mapping[str, str | None] | None = None,
        identifier: Any = None,
    ) -> Reply:
        self._count += 1
        raw = body(method, params, self._count if identifier is None else identifier)
        return await self.gateway.send("POST", f"{self.path}/mcp", self.headers(headers), raw)

    async def notify(self, method: str, params: dict[str, Any] | None = None) -> Reply:
        return await self.gateway.send("POST", f"{self.path}/mcp", self.headers(), notification(method, params))

    async def post_stream(self, method: str, params: dict[str, Any], identifier: Any = 7) -> Wire:
        raw = body(method, params, identifier)
        wire, _ = await self.gateway.stream("POST", f"{self.path}/mcp", self.headers(), raw)
        return wire

    async def get_stream(self, last: str | None = None) -> Wire:
        headers = self.headers({"Accept": "text/event-stream", "Last-Event-ID": last})
        wire, _ = await self.gateway.stream("GET", f"{self.path}/mcp", headers)
        return wire

    async def delete(self) -> Reply:
        return await self.gateway.send("DELETE", f"{self.path}/mcp", self.headers())


class SseClient:
    """A conversation over the transport of 2024-11-05."""

    def __init__(self, gateway: Gateway, wire: Wire, head: Reply, announced: Event) -> None:
        self.gateway = gateway
        self.wire = wire
        self.head = head
        self.announced = announced
        self._count = 100

    async def post(self, raw: bytes) -> Reply:
        return await self.gateway.send("POST", self.announced.data, {}, raw)

    async def request(self, method: str, params: dict[str, Any] | None = None) -> Any:
        """Posts, and reads the next event, which a quiet endpoint makes the answer."""
        self._count += 1
        reply = await self.post(body(method, params, self._count))
        assert reply.status == 202, (reply.status, reply.body)
        event = await self.wire.event()
        assert event is not None
        return event.json


def body(method: str, params: dict[str, Any] | None = None, identifier: Any = 1) -> bytes:
    message: dict[str, Any] = {"jsonrpc": "2.0", "id": identifier, "method": method}
    return json.dumps(message if params is None else message | {"params": params}).encode()


def notification(method: str, params: dict[str, Any] | None = None) -> bytes:
    message: dict[str, Any] = {"jsonrpc": "2.0", "method": method}
    return json.dumps(message if params is None else message | {"params": params}).encode()


def modern_meta(version: str = MODERN) -> dict[str, Any]:
    return {
        f"{_META}protocolVersion": version,
        f"{_META}clientCapabilities": {},
        f"{_META}clientInfo": {"name": "test", "version": "1"},
    }


def modern_body(
    method: str, params: dict[str, Any] | None = None, meta: dict[str, Any] | None = None, identifier: Any = 1
) -> bytes:
    return body(method, {"_meta": modern_meta() | (meta or {}), **(params or {})}, identifier)


def modern_headers(method: str, params: dict[str, Any] | None = None) -> dict[str, str | None]:
    headers: dict[str, str | None] = {"MCP-Protocol-Version": MODERN, "Mcp-Method": method}
    name = (params or {}).get("name") or (params or {}).get("uri")
    return headers | ({"Mcp-Name": name} if isinstance(name, str) else {})


class AsgiListener:
    """The public listener by the other way in: the same front door behind an ASGI server."""

    def __init__(self, worker: Worker) -> None:
        proxies = TrustedProxies(worker.settings.trusted_proxy)
        settings = worker.settings
        self._app = GatewayApp(
            worker.world.entry, proxies, settings.limit_body, limits.patience(settings), limits.heads(settings)
        )
        config = uvicorn.Config(
            self._app, http="httptools", lifespan="off", ws="none", log_config=None, proxy_headers=False
        )
        self._server = uvicorn.Server(config)
        self._task: asyncio.Task[None] | None = None

    @property
    def in_flight(self) -> int:
        return self._app.in_flight

    def __len__(self) -> int:
        return len(self._server.server_state.connections)

    async def begin(self, listener: socket.socket) -> None:
        self._server.capture_signals = contextlib.nullcontext  # type: ignore[method-assign]
        self._task = asyncio.create_task(self._server.serve(sockets=[listener]))

    async def end(self, patience: float, goodbye: float = 0.0) -> None:
        assert self._task is not None
        self._server.should_exit = True
        await asyncio.wait([self._task], timeout=patience)


INGRESSES = ("http1", "asgi")


def _build(settings: Settings, place: Place, gateway: Gateway, ingress: str) -> Worker:
    """The one place where the server is built. What a worker writes goes to the gateway's own buffers."""
    out = io.TextIOWrapper(gateway._out)
    with contextlib.redirect_stderr(gateway._err), contextlib.redirect_stdout(out):
        worker = Worker(settings, {}, place)
    out.detach()  # It would close the buffer with itself.
    if ingress == "asgi":
        worker.public = AsgiListener(worker)  # type: ignore[assignment]
    return worker


@contextlib.asynccontextmanager
async def running(
    directory: Path,
    documents: Mapping[str, str],
    *,
    ingress: str = "http1",
    admin: bool = False,
    peers: Path | None = None,
    key: bytes = b"",
    rest: Rest | None = None,
    **settings: Any,
) -> AsyncIterator[Gateway]:
    """`documents` by file name; REST in them becomes the address of the scripted service. Workers that share `peers`,
    `key` and `rest` are one gateway, but each has a port of its own, so that a test chooses where a request lands."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    public = listen("127.0.0.1", 0)
    private = listen("127.0.0.1", 0) if admin else None
    async with contextlib.nullcontext(rest) if rest is not None else rest_service.serving() as rest:
        admin_port = private.getsockname()[1] if private is not None else None
        gateway = Gateway(directory, rest, public.getsockname()[1], admin_port)
        gateway.key = key or secrets.token_bytes(32)
        for name, text in documents.items():
            gateway.write(name, text)
        fields = {"store": f"files:{directory}", "log": "json", "admin": "off", "poll": 3600.0, "drain": 5.0}
        place = Place(public, private, gateway.key, peers)
        gateway.worker = _build(Settings(**(fields | settings)), place, gateway, ingress)
        root.handlers[:] = [*handlers, *root.handlers]
        started = asyncio.Event()
        serving = asyncio.create_task(gateway.worker.serve(gateway.stop, started.set))
        try:
            async with asyncio.timeout(PATIENCE):
                await started.wait()
            yield gateway
        finally:
            gateway.stop.set()
            rest.release.set()
            await gateway.http.aclose()
            async with asyncio.timeout(2 * PATIENCE):
                await serving
            root.handlers[:] = handlers
            root.setLevel(level)
