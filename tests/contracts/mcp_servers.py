"""The everything fixture as a real process, and what a test asks of an upstream in front of it."""

import asyncio
import contextlib
import json
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

from tests.fakes.ports import free_port

from portico.upstream.mcp.upstream import Conversation, Heard, Hello, McpSpec, Outcome

FIXTURE = Path(__file__).parents[1] / "fakes" / "everything_fixture.py"
MODERN = "2026-07-28"
CAPABILITIES = {"elicitation": {"form": {}, "url": {}}, "sampling": {}, "roots": {"listChanged": True}}
META = {
    "io.modelcontextprotocol/protocolVersion": MODERN,
    "io.modelcontextprotocol/clientCapabilities": CAPABILITIES,
    "io.modelcontextprotocol/clientInfo": {"name": "test", "version": "1"},
}


@contextlib.asynccontextmanager
async def fixture_process(kind: str, *flags: str, port: int = 0) -> AsyncIterator[tuple[Any, int]]:
    """The fixture as a server on a port, ready to be called."""
    port = port or free_port()
    process = await asyncio.create_subprocess_exec(sys.executable, str(FIXTURE), kind, str(port), *flags)
    try:
        async with asyncio.timeout(20):
            while True:
                with contextlib.suppress(OSError):
                    _, writer = await asyncio.open_connection("127.0.0.1", port)
                    writer.close()
                    break
                await asyncio.sleep(0.05)
        yield process, port
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()


@contextlib.asynccontextmanager
async def spec_of(kind: str, era: str, **more: Any) -> AsyncIterator[McpSpec]:
    """A spec of the fixture that speaks `era` only, running where it has to."""
    named = {"tenant": "default", "document": "d", "name": "fixture", **more}
    flags = () if era == "dual" or kind == "sse" else (f"--{era}-only",)
    if kind == "stdio":
        yield McpSpec(kind="stdio", command=sys.executable, args=(str(FIXTURE), "stdio", *flags), **named)
    elif kind == "sse":
        async with fixture_process("sse") as (_, port):
            yield McpSpec(kind="sse", url=f"http://127.0.0.1:{port}/sse", **named)
    else:
        json_only = ("--json",) if kind == "json" else ()
        async with fixture_process("http", *flags, *json_only) as (_, port):
            yield McpSpec(kind="http", url=f"http://127.0.0.1:{port}/mcp", **named)


def hello(owner: str | None = None, **capabilities: Any) -> Hello:
    encoded = json.dumps(capabilities or CAPABILITIES).encode()
    return Hello("2025-11-25", encoded, b'{"name":"test","version":"1"}', owner)


class Talk:
    """One client's side of a conversation: asks, and remembers what was said meanwhile."""

    def __init__(self, conversation: Conversation) -> None:
        self.conversation = conversation
        self.heard: list[Heard] = []
        self.answers: dict[str, Any] = {}
        self._number = 0
        self.listening = conversation.listen(self.hear)

    def hear(self, heard: Heard) -> None:
        self.heard.append(heard)
        if heard.answer is not None and heard.method in self.answers:
            heard.claimed = True
            heard.answer(b'"result":' + json.dumps(self.answers[heard.method]).encode())

    async def ask(
        self, method: str, params: dict[str, Any] | None = None, *, timeout: float = 15, identifier: Any = None
    ) -> Outcome:
        params = dict(params or {})
        if self.conversation.era == "modern":
            params["_meta"] = {**META, **params.get("_meta", {})}
        self._number += 1
        return await self.conversation.request(
            method,
            json.dumps(params).encode(),
            identifier=identifier or self._number,
            deadline=asyncio.get_running_loop().time() + timeout,
            hear=self.hear,
        )

    async def result(self, method: str, params: dict[str, Any] | None = None, **more: Any) -> Any:
        outcome = await self.ask(method, params, **more)
        assert not outcome.is_error, outcome.member
        return json.loads(b"{" + outcome.member + b"}")["result"]

    async def call(self, name: str, arguments: dict[str, Any] | None = None, **meta: Any) -> Any:
        params: dict[str, Any] = {"name": name, "arguments": arguments or {}}
        if meta:
            params["_meta"] = meta
        return await self.result("tools/call", params)

    def methods(self) -> list[str]:
        return [heard.method for heard in self.heard]

    async def until(self, method: str, timeout: float = 10) -> Heard:
        await until(lambda: method in self.methods(), timeout)
        return next(heard for heard in self.heard if heard.method == method)


async def until(condition: Callable[[], object], seconds: float = 5) -> None:
    async with asyncio.timeout(seconds):
        while True:
            if condition():
                return
            await asyncio.sleep(0.02)


def params(heard: Heard) -> dict[str, Any]:
    return json.loads(heard.params or b"{}")
