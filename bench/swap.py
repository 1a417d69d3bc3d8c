"""A reload of many documents while calls go on: how long one of them waits, and when the new ones are served."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench.client import FIRST, Client
from bench.messages import modern
from bench.scenarios import ITEM, MCP
from bench.servers import Server

DOCUMENTS, TOOLS = 1_000, 10
CALM = 5.0
PATIENCE = 120.0
LAST = f"/swap-{DOCUMENTS - 1:04}/mcp"


class Caller(threading.Thread):
    """Calls without a pause on one connection, and keeps the longest wait. `end` raises what went wrong."""

    def __init__(self, port: int) -> None:
        super().__init__(daemon=True)
        self._client = Client(port)
        self._template = modern(MCP, "tools/call", ITEM)
        self._ended = threading.Event()
        self._error: Exception | None = None
        self.longest = 0.0

    def run(self) -> None:
        number = FIRST
        try:
            while not self._ended.is_set():
                began = time.perf_counter()
                answer = self._client.ask(self._template, number)
                self.longest = max(self.longest, time.perf_counter() - began)
                if answer.status != 200 or b"item-%d" % number not in answer.body:
                    raise RuntimeError(f"a call failed during the swap: {answer.status} {answer.body[:200]!r}")
                number += 1
        except (OSError, ValueError, RuntimeError) as error:
            self._error = error

    def end(self) -> float:
        """The longest wait, in seconds."""
        self._ended.set()
        self.join(60)
        self._client.close()
        if self._error is not None:
            raise RuntimeError(str(self._error))
        return self.longest


def document(number: int, generation: int = 1) -> dict[str, Any]:
    """One of them, with the generation in the description of its tools."""
    name = f"swap-{number:04}"
    tools = [
        {
            "name": f"tool_{tool}",
            "description": f"Tool {tool} of generation {generation}.",
            "args": [
                {"name": "id", "in": "path", "type": "string", "required": True},
                {"name": "limit", "in": "query", "type": "integer", "minimum": 1, "maximum": 100},
            ],
            "request": {"url": "http://127.0.0.1:5240/things/{id}"},
            "response": {"body": {"id": "{{ response.json.id }}"}},
        }
        for tool in range(TOOLS)
    ]
    routers = [{"prefix": f"/{name}", "server": name}]
    return {"version": 1, "name": name, "routers": routers, "servers": [{"name": name}], "tools": tools}


def write(directory: Path, generation: int) -> None:
    for number in range(DOCUMENTS):
        found = document(number, generation)
        (directory / f"{found['name']}.json").write_text(json.dumps(found))


def measure(server: Server, directory: Path) -> dict[str, float]:
    """Seconds and bytes of one swap in which every document has changed. RuntimeError when a call fails."""
    calm = _watched(server, lambda: time.sleep(CALM))
    memory = server.process.memory()
    began = 0.0

    # What writes the documents must not take the time of what calls meanwhile, which is a thread of this process.
    staged = directory.with_name("staged")
    staged.mkdir()
    write(staged, 2)

    def swap() -> None:
        nonlocal began
        for path in staged.iterdir():
            path.replace(directory / path.name)
        began = time.perf_counter()
        os.kill(server.process.pid, signal.SIGHUP)
        _wait(server, b"generation 2")

    longest = _watched(server, swap)
    taken = time.perf_counter() - began
    return {"calm": calm, "longest": longest, "taken": taken, "before": memory, "after": server.process.memory()}


def _watched(server: Server, action: Callable[[], None]) -> float:
    """The longest wait of a call while something is done."""
    caller = Caller(server.port)
    caller.start()
    try:
        action()
    finally:
        longest = caller.end()
    return longest


def _wait(server: Server, text: bytes) -> None:
    """Until the document that is compiled last shows it."""
    client, until = Client(server.port), time.monotonic() + PATIENCE
    while time.monotonic() < until:
        if text in client.ask(modern(LAST, "tools/list", {})).body:
            client.close()
            return
        time.sleep(0.02)
    raise RuntimeError(f"the documents were not served within {PATIENCE:.0f} s of their change")
