"""Many clients over one shared upstream: no byte of one reaches another, and sessions leave nothing behind."""

import asyncio
import os
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest
from tests.e2e.conversation import BOTH, Session, eventually, shake_hands
from tests.e2e.processes import WAIT, Gateway, descendants, gateway, get
from tests.e2e.rude import Client, descriptors, documents, process, resident, rude_http, text_of

pytestmark = [pytest.mark.e2e, pytest.mark.anyio, pytest.mark.timeout(120)]

CALLS = 1_000
EACH = 60
"""Calls that one user has under way."""
STEPS = 3
SECONDS = float(os.environ.get("PORTICO_SOAK_SECONDS", "0"))
SESSIONS = 300
"""Opened and dropped before it is looked at what is left. `make soak` goes on until there were WHOLE of them."""
WHOLE = 10_000
IDLE = 3
"""Seconds after which a session that its client has forgotten ends."""
MEBI = 1024 * 1024


def connections(most: int = 200) -> httpx.AsyncClient:
    limits = httpx.Limits(max_connections=most, max_keepalive_connections=most)
    return httpx.AsyncClient(limits=limits, timeout=WAIT, trust_env=False, headers={"accept": BOTH})


@asynccontextmanager
async def relaying(folder: Path, kind: str, workers: int, **more: Any) -> AsyncIterator[tuple[Gateway, str]]:
    """A gateway before one shared upstream, and the upstream's URL where it has one."""
    with rude_http(folder) as (url, _):
        server = process(**more) if kind == "process" else {"url": url, **more}
        where = documents(folder, {"shared": {**server, "session": "shared"}})
        with gateway(folder, where, "--workers", str(workers)) as running:
            yield running, url


class User:
    """Its ids and progress tokens are the same as every other user's; only its nonces are its own."""

    def __init__(self, name: str, caller: Client, calls: int) -> None:
        self.name = name
        self.answered = self.told = self.cancelled = 0
        self._caller = caller
        self._calls = calls

    async def run(self) -> None:
        free = asyncio.Semaphore(EACH)
        async with anyio.create_task_group() as tasks:
            for number in range(1, self._calls + 1):
                await free.acquire()
                tasks.start_soon(self._one, number, free)

    async def _one(self, number: int, free: asyncio.Semaphore) -> None:
        nonce = f"{self.name}-{number}-{os.urandom(8).hex()}"
        try:
            if number % 10 == 0:
                await self._cancel(number, nonce)
            else:
                await self._ask(number, nonce)
        finally:
            free.release()

    async def _ask(self, number: int, nonce: str) -> None:
        given = {"nonce": nonce, "steps": STEPS if number % 2 else 0, "delay": 0.005}
        messages = await self._caller.messages("echo", given, identifier=number, token=f"token-{number}")
        answer = messages.pop()
        assert answer["id"] == number, answer
        assert text_of(answer) == nonce, answer
        for told in messages:
            assert told["method"] == "notifications/progress", told
            assert told["params"]["progressToken"] == f"token-{number}", told
            assert told["params"]["message"] == nonce, told
        assert [told["params"]["progress"] for told in messages] == list(range(given["steps"]))
        self.answered += 1
        self.told += len(messages)

    async def _cancel(self, number: int, nonce: str) -> None:
        """Go away in the middle, as a client of each era does."""
        given = {"nonce": nonce, "steps": 100, "delay": 0.02}
        caller = self._caller
        with anyio.move_on_after(0.05):
            await caller.messages("echo", given, identifier=number, token=f"token-{number}")
        if caller.session is not None:
            told = await caller.session.tell(caller.http, "notifications/cancelled", {"requestId": number})
            assert told.status_code == 202
        self.cancelled += 1


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("kind", ["process", "http"])
async def test_no_byte_of_one_user_reaches_another(tmp_path: Path, kind: str, workers: int) -> None:
    async with relaying(tmp_path, kind, workers) as (running, _), connections() as http:
        url = f"{running.url}/shared/mcp"
        users = []
        for name in ("one", "two"):
            session = await shake_hands(http, url)
            users.append(User(f"legacy-{name}", Client(http, url, session), CALLS // 4))
            users.append(User(f"modern-{name}", Client(http, url, None), CALLS // 4))
        async with anyio.create_task_group() as tasks:
            for user in users:
                tasks.start_soon(user.run)
        assert sum(user.answered + user.cancelled for user in users) == CALLS
        assert all(user.told > CALLS // 10 for user in users)
        await eventually(lambda: running.figure("portico_in_flight") <= 1, "what was cancelled has ended", 10)


@pytest.mark.soak
@pytest.mark.timeout(120 + (SECONDS + 900 if SECONDS else 0))
@pytest.mark.parametrize("session", ["shared", "perClient"])
async def test_sessions_that_are_opened_and_dropped_leave_nothing(tmp_path: Path, session: str) -> None:
    with rude_http(tmp_path) as (url, _):
        servers = {
            "http": {"url": url, "session": session, "idleTimeout": "1s"},
            "process": process(session=session, idleTimeout="1s"),
        }
        with gateway(tmp_path, documents(tmp_path, servers), "--limit-session-idle", str(IDLE)) as running:
            (pid,) = running.pids().values()
            await sessions(running, 40, session)
            await settled(running, url)
            baseline = held(running, pid), len(descendants(pid)), resident(pid)
            began, opened = time.monotonic(), 0
            while not opened or (SECONDS and (opened < WHOLE or time.monotonic() - began < SECONDS)):
                await sessions(running, SESSIONS, session)
                opened += SESSIONS
            print(f"{opened} sessions in {time.monotonic() - began:.0f} s")
            await settled(running, url)
            await eventually(lambda: held(running, pid) <= baseline[0] + 4, "descriptors as before")
            print(f"before {baseline}, after {(held(running, pid), len(descendants(pid)), resident(pid))}")
            assert len(descendants(pid)) <= baseline[1]
            assert resident(pid) <= baseline[2] + 24 * MEBI


def held(running: Gateway, pid: int) -> float:
    """Descriptors, without the connections that are kept for the next calls for a while."""
    return descriptors(pid) - running.figure("portico_upstream_connections")


async def sessions(running: Gateway, count: int, kind: str) -> None:
    """A process for each session takes its time, so that there are fewer of those."""
    at_once = anyio.CapacityLimiter(8)
    async with connections() as http, anyio.create_task_group() as tasks:
        for number in range(count):
            name = "process" if number % (30 if kind == "perClient" else 4) == 0 else "http"
            tasks.start_soon(come_and_go, http, f"{running.url}/{name}/mcp", number, at_once)


async def come_and_go(http: httpx.AsyncClient, url: str, number: int, at_once: anyio.CapacityLimiter) -> None:
    async with at_once:
        session = await shake_hands(http, url)
        nonce = f"{url}-{number}"
        assert await Client(http, url, session).text("echo", {"nonce": nonce}) == nonce
        if number % 3 == 0:
            await stand_for_a_moment(session)
        # One in four is forgotten rather than ended.
        if number % 4 != 1:
            assert (await session.end(http)).status_code < 300


async def stand_for_a_moment(session: Session) -> None:
    async with connections() as own, session.standing(own):
        pass


async def settled(running: Gateway, url: str) -> None:
    """Nobody is left, here and at the upstream."""

    def is_settled() -> bool:
        upstream = get(url.replace("/mcp", "/sessions")).json()
        (pid,) = running.pids().values()
        return (
            running.figure("portico_sessions") == 0
            and upstream == {"sessions": 0, "standing": 0}
            and not [one for one in descendants(running.process.pid) if one != pid]
        )

    await eventually(is_settled, "nothing is left")
