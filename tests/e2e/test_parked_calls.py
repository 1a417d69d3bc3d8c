"""Calls by the thousand that wait for input, of clients most of whom never answer: bounded, refused with a clear error,
given up in time, and nothing is left of them.
"""

import json
import os
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest
from tests.e2e.conversation import BOTH, eventually, modern_request
from tests.e2e.footprint import Footprint, calm
from tests.e2e.processes import WAIT, Gateway, gateway
from tests.fakes.asking import Asking
from tests.fakes.http_wire import Reply, Wire, request
from tests.fakes.mcp_http import LegacyServer, legacy_server

SECONDS = float(os.environ.get("PORTICO_SOAK_SECONDS", "0"))
CASES = [(1_000, 10_000), (10_000, 11_000)] if SECONDS else [(1_000, 2_000)]
"""How many may wait, and how many try to."""
SERVERS = 10
ANSWERED = 300
EACH_SECOND = 150
AT_ONCE = 100
META = {"io.modelcontextprotocol/clientCapabilities": {"elicitation": {}}}

pytestmark = [pytest.mark.anyio, pytest.mark.soak, pytest.mark.timeout(900 if SECONDS else 240)]


class Crowd:
    """Clients who call a tool that asks, each from an address of its own, over a few connections. `waiting` has the
    retry of each that was asked, `refused` the texts of those that were not."""

    def __init__(self, running: Gateway) -> None:
        self.running = running
        self.waiting: dict[int, dict[str, Any]] = {}
        self.refused: Counter[str] = Counter()
        self._port = int(running.url.rpartition(":")[2])
        self._wires: list[Wire] = []

    async def come(self, count: int) -> None:
        await self._all(range(count), self._begin)

    async def answer(self, count: int) -> None:
        await self._all(tuple(self.waiting)[:count], self._answer)

    async def call(self, number: int, **retry: Any) -> Reply:
        return await self.ask("tools/call", number, {"name": "ask", "arguments": {"number": number}, **retry})

    async def ask(self, method: str, number: int, params: dict[str, Any]) -> Reply:
        address = f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}"
        made = modern_request(method, params, number, META)
        body = json.dumps(made["json"]).encode()
        headers = {
            "Host": self.running.address, "Content-Type": "application/json", "Content-Length": str(len(body)),
            "Accept": BOTH, "X-Forwarded-For": address, **made["headers"],
        }  # fmt: skip
        wire = self._wires.pop() if self._wires else await Wire.connect(self._port)
        await wire.send(request("POST", f"/{number % SERVERS}/mcp", list(headers.items()), body))
        reply = await wire.reply()
        self._wires.append(wire)
        return reply

    def leave(self) -> None:
        while self._wires:
            self._wires.pop().abort()

    async def _all(self, numbers: Iterable[int], do: Callable[[int], Awaitable[None]]) -> None:
        left = iter(numbers)

        async def some() -> None:
            for number in left:
                await do(number)

        async with anyio.create_task_group() as tasks:
            for _ in range(AT_ONCE):
                tasks.start_soon(some)

    async def _begin(self, number: int) -> None:
        reply = await self.call(number)
        if reply.status == 503:
            assert reply.headers["retry-after"] == "5"
            self.refused[reply.error["message"]] += 1
            return
        assert reply.result["resultType"] == "input_required", reply.result
        (name,) = reply.result["inputRequests"]
        answers = {name: {"action": "accept", "content": {"name": str(number)}}}
        self.waiting[number] = {"requestState": reply.result["requestState"], "inputResponses": answers}

    async def _answer(self, number: int) -> None:
        reply = await self.call(number, **self.waiting[number])
        assert json.loads(reply.result["content"][0]["text"])["content"] == {"name": str(number)}


@asynccontextmanager
async def crowded(folder: Path, allowed: int, lifetime: int) -> AsyncIterator[tuple[Crowd, LegacyServer, Asking]]:
    """`allowed` calls may wait, so many at each server, for so many seconds."""
    documents = folder / "documents"
    documents.mkdir()
    names = [str(number) for number in range(SERVERS)]
    settings = {
        "trusted-proxy": "127.0.0.1",
        "limit-parked": allowed,
        "limit-parked-server": allowed,
        "limit-parked-time": lifetime,
        "limit-upstream-connections": 2 * allowed,
        "limit-upstream-in-flight": 3 * allowed,
    }
    tool = Asking()
    async with legacy_server(tool.act) as server:
        url = f"http://127.0.0.1:{server.port}/mcp"
        document = {
            "version": 1,
            "name": "crowded",
            "routers": [{"prefix": f"/{name}", "server": f"s{name}"} for name in names],
            "mcpServers": {f"s{name}": {"url": url, "protocol": "legacy", "idleTimeout": "1s"} for name in names},
        }
        (documents / "crowded.json").write_text(json.dumps(document))
        flags = [part for name, value in settings.items() for part in (f"--{name}", str(value))]
        with gateway(folder, documents, *flags, "--no-access-log") as running:
            crowd = Crowd(running)
            yield crowd, server, tool
            crowd.leave()


@pytest.mark.parametrize(("allowed", "attempts"), CASES)
async def test_calls_whose_clients_never_answer_are_bounded_and_leave_nothing(
    tmp_path: Path, allowed: int, attempts: int
) -> None:
    lifetime = 10 + attempts // EACH_SECOND
    async with crowded(tmp_path, allowed, lifetime) as (crowd, server, tool):
        running = crowd.running
        await crowd.come(allowed)
        await crowd.answer(allowed)
        crowd.leave()
        before = await calm(running)
        crowd.waiting.clear()
        calls, began = tool.calls, time.monotonic()
        await crowd.come(attempts)
        took, full = time.monotonic() - began, Footprint.of(running)
        print(f"{attempts} calls came in {took:.0f} s: {full}")
        assert len(crowd.waiting) == allowed
        text = f"{allowed} calls wait for input of their clients, and this one cannot; try again later."
        assert crowd.refused == {text: attempts - allowed}
        assert running.figure("portico_parked_calls") == allowed
        assert (await crowd.ask("tools/list", 0, {})).result["tools"]

        await crowd.answer(ANSWERED)
        replayed, retry = next(iter(crowd.waiting.items()))
        assert "is over" in (await crowd.call(replayed, **retry)).error["message"]

        await eventually(lambda: running.figure("portico_parked_calls") == 0, "all were given up", lifetime + WAIT)
        left = tool.calls - calls - ANSWERED
        await eventually(lambda: tool.cancelled == left, "the server knows of it")
        # Their connections idled for as long as that; the gateway may have closed them.
        crowd.leave()
        forgotten, retry = crowd.waiting.popitem()
        assert "has expired" in (await crowd.call(forgotten, **retry)).error["message"]
        await eventually(lambda: not server.sessions, "no session is left at the server")
        crowd.leave()
        after = await calm(running, before)
        print(f"before {before}\nafter  {after}")
        assert "Traceback" not in running.log
