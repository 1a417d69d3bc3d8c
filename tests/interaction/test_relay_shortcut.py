"""Calls that are relayed to an MCP server, by the short way and by the general one: a request over ASGI never takes the
short one, so that every test which runs with both ways in shows that they answer alike. `crossed` is a server that
does not speak the era of its client; `combined` ones are included by another, under other names.
"""

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from tests.e2e.conversation import eventually
from tests.fakes import rude_server
from tests.fakes.garbage import garbage_kept
from tests.fakes.gateway import Gateway, LegacyClient, body, modern_body, modern_headers, running
from tests.fakes.http_wire import Reply, Wire

from portico.gateway.exchange import Request, text_reply

pytestmark = pytest.mark.anyio

PROCESS = {"command": sys.executable, "args": [rude_server.__file__, "stdio"]}
ALONE = ["http", pytest.param("stdio", marks=pytest.mark.e2e)]
KINDS = [*ALONE, "combined"]
ALL_KINDS = [*KINDS, "crossed", "combined-crossed"]
PATHS = ("http", "stdio", "legacy", "modern", "combined", "combined-crossed")
ERAS = ["modern", "legacy"]
TIMEOUT = 2.0


@asynccontextmanager
async def rude(folder: Path, **settings: Any) -> AsyncIterator[Gateway]:
    """A gateway before a rude server of each kind."""
    server = await asyncio.start_server(rude_server.HttpServer().connected, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/mcp"
    limits = {"timeout": f"{TIMEOUT}s"}
    document = {
        "version": 1,
        "name": "rude",
        "routers": [{"prefix": f"/{kind}", "server": kind} for kind in PATHS],
        "servers": [
            {"name": name, "include": [{"mcpServer": kind, "prefix": f"{kind}_"} for kind in kinds]}
            for name, kinds in (("combined", ["http"]), ("combined-crossed", ["legacy", "modern"]))
        ],
        "mcpServers": {
            "http": {"url": url, **limits},
            "stdio": {**PROCESS, **limits},
            "legacy": {"url": f"{url}?legacy", "protocol": "legacy", **limits},
            "modern": {"url": f"{url}?modern", "protocol": "modern", **limits},
        },
    }
    async with server, running(folder, {"rude.json": json.dumps(document)}, **settings) as gateway:
        yield gateway


@pytest.fixture(scope="module")
async def relaying(
    anyio_backend: str, ingress: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Gateway]:
    async with rude(tmp_path_factory.mktemp("relay"), ingress=ingress) as gateway:
        yield gateway


@pytest.fixture
async def short(anyio_backend: str, tmp_path: Path) -> AsyncIterator[Gateway]:
    async with rude(tmp_path, ingress="http1") as gateway:
        yield gateway


class Caller:
    """Calls tools of one endpoint in one era; `prefix` is what the endpoint puts before their names."""

    def __init__(self, gateway: Gateway, path: str, prefix: str, client: LegacyClient | None) -> None:
        self.gateway = gateway
        self.path = path
        self.prefix = prefix
        self.client = client

    def encoded(self, name: str, identifier: Any = 1, **arguments: Any) -> bytes:
        params = {"name": self.prefix + name, "arguments": arguments}
        if self.client is None:
            headers, raw = modern_headers("tools/call", params), modern_body("tools/call", params, None, identifier)
        else:
            headers, raw = self.client.headers(), body("tools/call", params, identifier)
        return self.gateway.encode("POST", f"{self.path}/mcp", headers, raw)

    async def begin(self, name: str, identifier: Any = 1, **arguments: Any) -> Wire:
        wire = await self.gateway.connect()
        await wire.send(self.encoded(name, identifier, **arguments))
        return wire

    async def call(self, name: str, identifier: Any = 1, **arguments: Any) -> Reply:
        wire = await self.begin(name, identifier, **arguments)
        try:
            return await wire.reply()
        finally:
            wire.abort()

    async def text(self, name: str, **arguments: Any) -> str:
        reply = await self.call(name, **arguments)
        return answer_of(reply)["result"]["content"][0]["text"]


def answer_of(reply: Reply) -> Any:
    """The last message of a reply, whichever kind it is of."""
    return reply.events[-1].json if reply.headers["content-type"] == "text/event-stream" else reply.json


async def caller_of(gateway: Gateway, kind: str, era: str, capabilities: dict[str, Any] | None = None) -> Caller:
    other = {"modern": "legacy", "legacy": "modern"}[era]
    server = other if kind.endswith("crossed") else "http" if kind == "combined" else kind
    path, prefix = (f"/{kind}", f"{server}_") if kind.startswith("combined") else (f"/{server}", "")
    if era == "modern":
        return Caller(gateway, path, prefix, None)
    info = {"name": "test", "version": "1"}
    params = {"protocolVersion": "2025-11-25", "capabilities": capabilities or {}, "clientInfo": info}
    reply = await gateway.send("POST", f"{path}/mcp", {}, body("initialize", params))
    return Caller(gateway, path, prefix, LegacyClient(gateway, path, reply.headers["mcp-session-id"], reply))


def under_way(gateway: Gateway) -> int:
    return gateway.worker.world.conversations.admission.calls


def calls(gateway: Gateway) -> list[dict[str, Any]]:
    return [line for line in gateway.lines() if line["kind"] == "call" and line["method"] == "tools/call"]


# By both ways ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("era", ERAS)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("plain", [True, False], ids=["json", "events"])
async def test_an_answer_is_relayed_as_json_under_the_id_of_the_call(
    relaying: Gateway, kind: str, era: str, plain: bool
) -> None:
    caller = await caller_of(relaying, kind, era)
    for identifier in (1, 0, "a-1", 2**52, 'a "b"'):
        reply = await caller.call("echo", identifier, nonce="n-1", plain=plain)
        assert (reply.status, reply.headers["content-type"]) == (200, "application/json")
        assert reply.json == {
            "jsonrpc": "2.0",
            "id": identifier,
            "result": {"resultType": "complete", "content": [{"type": "text", "text": "n-1"}]},
        }


@pytest.mark.parametrize("era", ERAS)
@pytest.mark.parametrize("kind", [*ALONE, "crossed"])
@pytest.mark.parametrize("plain", [True, False], ids=["json", "events"])
async def test_an_error_of_the_server_is_relayed(relaying: Gateway, kind: str, era: str, plain: bool) -> None:
    caller = await caller_of(relaying, kind, era)
    before = len(calls(relaying))
    for _ in range(2):
        reply = await caller.call("nobody", 5, plain=plain)
        assert reply.json == {"jsonrpc": "2.0", "id": 5, "error": {"code": -32602, "message": "No such tool"}}
    assert [line["outcome"] for line in calls(relaying)[before:]] == ["error -32602"] * 2


@pytest.mark.parametrize(
    ("kind", "era"),
    [
        ("http", "modern"),
        ("http", "legacy"),
        ("combined", "modern"),
        ("combined", "legacy"),
        pytest.param("stdio", "legacy", marks=pytest.mark.e2e),
    ],
)
async def test_what_is_said_before_the_answer_makes_the_reply_a_stream(relaying: Gateway, kind: str, era: str) -> None:
    caller = await caller_of(relaying, kind, era)
    await caller.text("echo")
    for _ in range(2):
        reply = await caller.call("talk", 7)
        assert reply.headers["content-type"] == "text/event-stream"
        said = [event.json for event in reply.events if event.data]
        assert [message.get("method", message.get("id")) for message in said] == ["notifications/message", 7]
        assert said[-1]["result"]["content"][0]["text"] == "talked"
    assert under_way(relaying) == 0


@pytest.mark.parametrize("standing", [True, False], ids=["standing-stream", "no-stream"])
@pytest.mark.parametrize("kind", KINDS)
async def test_a_client_is_asked_in_the_reply_to_its_call(relaying: Gateway, kind: str, standing: bool) -> None:
    caller = await caller_of(relaying, kind, "legacy", {"elicitation": {}})
    assert caller.client is not None
    await caller.text("echo")
    stream = await caller.client.get_stream() if standing else None
    wire = await caller.begin("ask", 9)
    await wire.head()
    question = None
    while question is None or "method" not in question:
        event = await wire.event()
        assert event is not None
        question = event.json if event.data else None
    assert question["method"] == "elicitation/create"
    answer = {"jsonrpc": "2.0", "id": question["id"], "result": {"action": "decline"}}
    told = await relaying.send("POST", f"{caller.path}/mcp", caller.client.headers(), json.dumps(answer).encode())
    assert told.status == 202
    event = await wire.event()
    assert event is not None
    assert (event.json["id"], json.loads(event.json["result"]["content"][0]["text"])) == (9, {"action": "decline"})
    for one in (wire, stream):
        if one is not None:
            one.abort()


@pytest.mark.parametrize("kind", KINDS)
async def test_a_client_that_declared_nothing_is_not_asked(relaying: Gateway, kind: str) -> None:
    caller = await caller_of(relaying, kind, "legacy")
    await caller.text("echo")
    assert json.loads(await caller.text("ask"))["code"] == -32601


@pytest.mark.parametrize("kind", KINDS)
async def test_a_call_that_a_legacy_client_cancels_is_cancelled_at_the_server(relaying: Gateway, kind: str) -> None:
    caller = await caller_of(relaying, kind, "legacy")
    assert caller.client is not None
    before, seen = int(await caller.text("withdrawn")), len(calls(relaying))
    wire = await caller.begin("slow", 11, seconds=30, plain=True)
    await eventually(lambda: under_way(relaying) == 1, "the call is under way")
    await caller.client.notify("notifications/cancelled", {"requestId": 11})
    assert "cancelled" in (await wire.reply()).json["error"]["message"]
    await eventually(lambda: _is(caller, before + 1), "the server has heard of it")
    assert [line["outcome"] for line in calls(relaying)[seen : seen + 1]] == ["cancelled"]


@pytest.mark.e2e
async def test_a_call_whose_modern_client_leaves_is_cancelled_at_the_server(relaying: Gateway) -> None:
    caller = await caller_of(relaying, "stdio", "modern")
    before = int(await caller.text("withdrawn"))
    wire = await caller.begin("slow", 11, seconds=30)
    await eventually(lambda: under_way(relaying) == 1, "the call is under way")
    wire.abort()
    await eventually(lambda: _is(caller, before + 1), "the server has heard of it")


async def _is(caller: Caller, count: int) -> bool:
    return int(await caller.text("withdrawn")) == count


@pytest.mark.parametrize("era", ERAS)
@pytest.mark.parametrize("kind", KINDS)
async def test_a_server_that_does_not_answer_is_named_at_the_deadline(relaying: Gateway, kind: str, era: str) -> None:
    caller = await caller_of(relaying, kind, era)
    await caller.text("echo")
    reply = await caller.call("hang", 3)
    assert reply.json["id"] == 3
    assert reply.json["error"]["message"].startswith("http" if kind == "combined" else kind)
    assert "deadline" in reply.json["error"]["message"]
    assert under_way(relaying) == 0


@pytest.mark.parametrize("era", ERAS)
async def test_a_server_that_breaks_off_is_named(relaying: Gateway, era: str) -> None:
    caller = await caller_of(relaying, "http", era)
    await caller.text("echo")
    for _ in range(2):
        message = answer_of(await caller.call("close"))["error"]["message"]
        assert message.startswith("http (")
        assert "ended its stream before it had answered" in message


@pytest.mark.parametrize("kind", ALL_KINDS)
async def test_many_at_once_are_not_mixed_up(relaying: Gateway, kind: str) -> None:
    callers = [await caller_of(relaying, kind, era) for era in ERAS * 2]

    async def ask(number: int) -> None:
        caller = callers[number % len(callers)]
        tool = "echo" if number % 5 else "talk" if caller.client is not None or kind in ("http", "combined") else "pid"
        answer = answer_of(
            await caller.call(tool, number, nonce=f"n-{number}", plain=tool == "echo" and number % 2 == 0)
        )
        assert answer["id"] == number
        if tool == "echo":
            assert "result" in answer, answer
            assert answer["result"]["content"][0]["text"] == f"n-{number}"

    await asyncio.gather(*(ask(number) for number in range(100)))
    assert under_way(relaying) == 0


@pytest.mark.parametrize("era", ERAS)
@pytest.mark.parametrize("kind", KINDS)
async def test_a_call_and_a_session_leave_nothing_to_the_garbage_collector(short: Gateway, kind: str, era: str) -> None:
    async def everything() -> None:
        caller = await caller_of(short, kind, era)
        for tool, arguments in (("echo", {"plain": True}), ("echo", {}), ("talk", {}), ("nobody", {})):
            await caller.call(tool, **arguments)
        if caller.client is not None:
            await caller.client.delete()
        # The last callbacks of what has just ended.
        await asyncio.sleep(0.02)

    await everything()
    with garbage_kept() as garbage:
        await everything()
    kinds = {f"{type(one).__module__}.{type(one).__qualname__}" for one in garbage}
    assert {kind for kind in kinds if kind.startswith("portico.")} == set()


# Which calls take the short way ---------------------------------------------------------------------------------------


def close_the_general_way(gateway: Gateway) -> None:
    async def closed(request: Request) -> Reply:
        return text_reply(500, "the general way")  # type: ignore[return-value]

    gateway.worker.world.entry._handle = closed  # type: ignore[method-assign, assignment]


@pytest.mark.parametrize("era", ERAS)
@pytest.mark.parametrize("kind", ALL_KINDS)
async def test_plain_calls_take_the_short_way_once_the_server_is_known(short: Gateway, kind: str, era: str) -> None:
    caller = await caller_of(short, kind, era)
    await caller.text("echo")
    close_the_general_way(short)
    for plain in (True, False):
        assert await caller.text("echo", nonce="hello", plain=plain) == "hello"
    if kind in ("http", "combined") or era == "legacy":
        assert await caller.text("talk") == "talked"


@pytest.mark.parametrize("kind", KINDS)
async def test_a_server_that_has_yet_to_be_asked_takes_the_general_way(short: Gateway, kind: str) -> None:
    close_the_general_way(short)
    reply = await (await caller_of(short, kind, "modern")).call("echo")
    assert (reply.status, reply.text.strip()) == (500, "the general way")


PARAMS = {"name": "echo", "arguments": {}}
SENT = modern_body("tools/call", PARAMS)
UNUSUAL: dict[str, dict[str, Any]] = {
    "a progress token": {"body": modern_body("tools/call", PARAMS, {"progressToken": 1})},
    "a hidden progress token": {"body": SENT.replace(b'"params": {', b'"params": {"_meta": {"progressToken": 1}, ')},
    "a log level": {"body": modern_body("tools/call", PARAMS, {"io.modelcontextprotocol/logLevel": "info"})},
    "a param more": {"body": modern_body("tools/call", {**PARAMS, "task": {}})},
    "another tool in the head": {"headers": {"Mcp-Name": "pid"}},
    "json alone": {"headers": {"Accept": "application/json"}},
    "events alone": {"headers": {"Accept": "text/event-stream"}},
    "an unknown version": {"headers": {"MCP-Protocol-Version": "2199-01-01"}},
}


@pytest.mark.parametrize("case", UNUSUAL.values(), ids=UNUSUAL)
async def test_everything_unusual_takes_the_general_way(short: Gateway, case: dict[str, Any]) -> None:
    await (await caller_of(short, "http", "modern")).text("echo")
    close_the_general_way(short)
    headers = modern_headers("tools/call", PARAMS) | case.get("headers", {})
    for _ in range(2):
        reply = await short.send("POST", "/http/mcp", headers, case.get("body", SENT))
        assert (reply.status, reply.text.strip()) == (500, "the general way")


async def test_a_client_that_could_be_asked_needs_a_stream_for_the_short_way(short: Gateway) -> None:
    caller = await caller_of(short, "http", "legacy", {"elicitation": {}})
    assert caller.client is not None
    await caller.text("echo")
    close_the_general_way(short)
    assert (await caller.call("echo")).status == 500
