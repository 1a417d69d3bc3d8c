"""The other workers of this gateway: handing a request over to the one that owns its conversation, and asking all of
them for what only they know.

Each worker listens on a Unix socket in a directory that only this user may enter. Being able to connect there is the
proof of being a peer, so the client's address is believed as it is handed over.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from urllib.parse import quote, unquote

import msgspec

from portico.gateway.exchange import JSON, Headers, Outlet, Reply, Request, text_reply
from portico.net.errors import NetError
from portico.net.http_client import HttpClient
from portico.net.origin import Origin
from portico.net.streaming import StreamingResponse

_ADDRESS, _SCHEME = b"x-portico-client", b"x-portico-scheme"
_ASK = b"/.portico/"
_HOP = frozenset(
    (b"connection", b"keep-alive", b"transfer-encoding", b"content-length", b"te", b"trailer", b"upgrade", b"expect")
)
_NOT_HANDED_OVER = _HOP | {_ADDRESS, _SCHEME}
PATIENCE = 30.0

Questions = Mapping[str, Callable[[str], Awaitable[object]]]
"""Each takes what it is asked about."""


class Peers:
    """`directory` holds one socket a worker, named after it; without one, this worker is alone."""

    def __init__(self, worker: str, directory: Path | None, client: HttpClient, clock: Callable[[], float]) -> None:
        self._worker = worker
        self._directory = directory
        self._client = client
        self._clock = clock
        self._relays: set[asyncio.Task[None]] = set()

    async def forward(self, request: Request, worker: str) -> Reply:
        """The owner's reply, whole or as a stream; 404 when that worker is gone, so that the client starts anew."""
        socket = self._socket(worker)
        if request.handed_over or socket is None:
            return _gone(worker)
        try:
            response = await self._client.stream(_origin(socket), _render(request), deadline=None)
        except NetError:
            return _gone(worker)
        headers = tuple((name, value) for name, value in response.headers if name not in _HOP)
        if b"text/event-stream" in (response.header(b"content-type") or b""):
            return Reply(response.status, headers=headers, stream=Relay(response, self._relays))
        try:
            body = b"".join([piece async for piece in response])
        except NetError:
            return _gone(worker)
        return Reply(response.status, body, headers)

    async def ask_all(self, question: str, about: str = "", patience: float = PATIENCE) -> list[object]:
        """The answers of every worker that gives one in time, this one included."""
        sockets = sorted(self._directory.glob("*.sock")) if self._directory is not None else []
        answers = await asyncio.gather(*(self._ask(socket, question, about, patience) for socket in sockets))
        return [answer for answer in answers if answer is not None]

    async def _ask(self, socket: Path, question: str, about: str, patience: float) -> object | None:
        request = Request("POST", _ASK + quote(question).encode(), quote(about).encode(), {b"host": b"localhost"}, b"")
        deadline = self._clock() + patience
        try:
            answer = await self._client.send(
                _origin(socket), _render(request), deadline=deadline, first_byte=patience, idempotent=False
            )
        except NetError:
            return None
        return msgspec.json.decode(answer.body) if answer.status == 200 else None

    def _socket(self, worker: str) -> Path | None:
        if self._directory is None or not worker.isalnum() or worker == self._worker:
            return None
        return self._directory / f"{worker}.sock"


class Relay:
    """A peer's stream, passed on as it comes."""

    def __init__(self, response: StreamingResponse, tasks: set[asyncio.Task[None]]) -> None:
        self._response = response
        self._tasks = tasks
        self._task: asyncio.Task[None] | None = None

    def attach(self, outlet: Outlet) -> None:
        self._task = asyncio.get_running_loop().create_task(self._run(outlet))
        self._tasks.add(self._task)
        self._task.add_done_callback(self._tasks.discard)

    def detach(self) -> None:
        if self._task is not None:
            self._task.cancel()

    async def _run(self, outlet: Outlet) -> None:
        try:
            async with self._response as response:
                async for piece in response:
                    outlet.write(piece)
        except NetError:
            pass  # The owner is gone: the stream ends here too, and the client resumes or starts anew.
        outlet.close()


class PeerCallers:
    """Whom a request that a peer hands over comes from: the peer says so."""

    def client(self, peer: str, scheme: str, headers: Headers) -> tuple[str, str, bool]:
        address = headers.pop(_ADDRESS, b"").decode("latin-1")
        return address, headers.pop(_SCHEME, b"http").decode("latin-1"), True


class PeerHandler:
    """The listener for peers: requests that they hand over, and their questions."""

    def __init__(self, handle: Callable[[Request], Awaitable[Reply]], questions: Questions) -> None:
        self._handle = handle
        self._questions = questions

    async def handle(self, request: Request) -> Reply:
        if not request.path.startswith(_ASK):
            return await self._handle(request)
        answer = self._questions.get(request.path.removeprefix(_ASK).decode("latin-1"))
        if answer is None:
            return text_reply(404, "This worker does not know the question.")
        return Reply(200, msgspec.json.encode(await answer(unquote(request.query.decode("latin-1")))), (JSON,))


def _origin(socket: Path) -> Origin:
    return Origin("http", "localhost", 80, unix=str(socket))


def _render(request: Request) -> bytes:
    target = request.path + (b"?" + request.query if request.query else b"")
    lines = [b"%b %b HTTP/1.1" % (request.method.encode(), target)]
    # What a client says under the names of our own headers would be joined with what we say there.
    lines += [b"%b: %b" % pair for pair in request.headers.items() if pair[0] not in _NOT_HANDED_OVER]
    lines.append(b"%b: %b" % (_ADDRESS, request.address.encode("latin-1", "replace")))
    lines.append(b"%b: %b" % (_SCHEME, request.scheme.encode()))
    if request.body or request.method == "POST":
        lines.append(b"content-length: %d" % len(request.body))
    return b"\r\n".join(lines) + b"\r\n\r\n" + request.body


def _gone(worker: str) -> Reply:
    return text_reply(404, "Session not found: the worker that held it is gone. Send initialize again.")
