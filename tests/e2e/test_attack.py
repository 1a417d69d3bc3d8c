"""Mixed abuse of a real gateway for PORTICO_SOAK_SECONDS: a polite client does not notice, nothing stays behind."""

import asyncio
import contextlib
import os
import random
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest
from tests.e2e import processes
from tests.e2e.attacks import ATTACKS, Attacker
from tests.e2e.conversation import LEGACY, connection, modern_request, result_of
from tests.e2e.footprint import CALM, calm
from tests.e2e.processes import Gateway
from tests.fakes import rest
from tests.fakes.hostile import hostile_services

SECONDS = float(os.environ.get("PORTICO_SOAK_SECONDS", "20"))
WARM = 8.0

pytestmark = [pytest.mark.anyio, pytest.mark.soak, pytest.mark.timeout(SECONDS + WARM + 2 * CALM + 60)]

POLITE = """
version: 1
name: polite
tenant: polite
values: {base: "REST"}
routers:
  - {prefix: /polite, server: polite}
  - {prefix: /rated, server: polite, limits: {rate: 5/s, concurrency: 3}}
servers: [{name: polite}]
tools: [{name: echo, args: [{name: word, in: query, type: string}], request: {url: "{{ values.base }}/echo"}}]
"""
HOSTILE = """
version: 1
name: hostile
tenant: hostile
routers: [{prefix: /hostile, server: hostile, limits: {timeout: 2s}}]
servers: [{name: hostile}]
tools:
"""
# Short times make more rounds; counts and sizes are the defaults. A session lasts longer than a busy machine may make
# its polite client pause.
SETTINGS = {
    "limit-first-byte": 2, "limit-head": 3, "limit-body-time": 3, "limit-body-pause": 2, "limit-idle": 2,
    "limit-reader": 2, "limit-session-idle": 15, "limit-breaker-pause": 0.3, "limit-breaker-most": 1,
}  # fmt: skip


@dataclass
class Polite:
    """A client of each era that calls again and again, at times over a new connection."""

    url: str
    calls: int = 0
    slowest: float = 0.0
    failures: list[str] = field(default_factory=list)

    async def modern(self) -> None:
        while True:
            async with connection() as http:
                for _ in range(25):
                    await self._ask(http, lambda word: modern_request("tools/call", echo(word)))

    async def legacy(self) -> None:
        hello = {"protocolVersion": LEGACY, "capabilities": {}, "clientInfo": {"name": "polite", "version": "1"}}
        async with connection() as opening:
            message = {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": hello}
            answer = await opening.post(self.url, json=message)
            headers = {"mcp-session-id": answer.headers["mcp-session-id"], "mcp-protocol-version": LEGACY}
        while True:
            async with connection() as http:
                for _ in range(25):
                    await self._ask(
                        http,
                        lambda word: {
                            "headers": headers,
                            "json": {"jsonrpc": "2.0", "id": word, "method": "tools/call", "params": echo(word)},
                        },
                    )

    async def _ask(self, http: httpx.AsyncClient, made) -> None:
        self.calls += 1
        word, began = f"word-{self.calls}", time.monotonic()
        try:
            result = result_of(await http.post(self.url, **made(word)))
            assert result["isError"] is False, result
            assert f"word={word}" in result["content"][0]["text"]
        except (AssertionError, httpx.HTTPError) as error:
            self.failures.append(f"call {self.calls}: {error!r}")
        self.slowest = max(self.slowest, time.monotonic() - began)
        await asyncio.sleep(0.03)


def echo(word: str) -> dict:
    return {"name": "echo", "arguments": {"word": word}}


@contextlib.asynccontextmanager
async def attacked(gateway: Gateway, seed: int) -> AsyncIterator[list[Attacker]]:
    port = int(gateway.url.rpartition(":")[2])
    attackers = [Attacker(port, f"127.0.1.{number}", seed + number) for number in range(1, len(ATTACKS) + 1)]
    tasks = [asyncio.create_task(attacker.run(attack)) for attacker, attack in zip(attackers, ATTACKS, strict=True)]
    try:
        yield attackers
    finally:
        for task in tasks:
            task.cancel()
        ends = await asyncio.gather(*tasks, return_exceptions=True)
        assert [end for end in ends if not isinstance(end, asyncio.CancelledError)] == []


@contextlib.asynccontextmanager
async def being_polite(url: str) -> AsyncIterator[Polite]:
    polite = Polite(url)
    tasks = [asyncio.create_task(polite.modern()), asyncio.create_task(polite.legacy())]
    try:
        yield polite
    finally:
        for task in tasks:
            task.cancel()
        ends = await asyncio.gather(*tasks, return_exceptions=True)
        assert [end for end in ends if not isinstance(end, asyncio.CancelledError)] == []


async def test_abuse_harms_nobody_else_and_leaves_nothing_behind(tmp_path: Path) -> None:
    seed = random.randrange(1 << 30)
    print(f"seed {seed}")
    documents = tmp_path / "documents"
    documents.mkdir()
    settings = [part for name, value in SETTINGS.items() for part in (f"--{name}", str(value))]
    async with rest.serving() as service, hostile_services() as ports:
        processes.write(documents / "polite.yaml", POLITE.replace("REST", service.url))
        tools = "".join(
            f'  - {{name: {name}, request: {{url: "http://127.0.0.1:{port}/x"}}}}\n' for name, port in ports.items()
        )
        processes.write(documents / "hostile.yaml", HOSTILE + tools)
        with processes.gateway(tmp_path, documents, *settings, "--no-access-log") as gateway:
            url = f"{gateway.url}/polite/mcp"
            async with attacked(gateway, seed), being_polite(url):
                await asyncio.sleep(WARM)
            before = await calm(gateway)
            async with attacked(gateway, seed) as attackers, being_polite(url) as polite:
                await asyncio.sleep(SECONDS)
            print(f"{polite.calls} polite calls, the slowest took {polite.slowest:.2f} s")
            print({attack.__name__: attacker.done for attack, attacker in zip(ATTACKS, attackers, strict=True)})
            assert polite.failures == []
            assert polite.calls > SECONDS
            assert all(attacker.done for attacker in attackers)
            after = await calm(gateway, before)
            print(f"before {before}\nafter  {after}")
            assert "Traceback" not in gateway.log
