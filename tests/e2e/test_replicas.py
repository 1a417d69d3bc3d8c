"""Gateways report of themselves to the database that they serve, and `portico replicas` shows who does and who does
not any more.
"""

import asyncio
import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import update
from tests.e2e.clocks import wrong_clock
from tests.e2e.conversation import BOTH, modern_request
from tests.e2e.desk import Desk
from tests.e2e.processes import Gateway, gateway, is_alive, post, until
from tests.e2e.test_databases import on
from tests.fakes.databases import KINDS, made
from tests.fakes.ports import free_port

from portico import __version__
from portico.apps.replica.command import ReplicaList
from portico.db.address import parse
from portico.db.engine import create
from portico.settings import Settings
from portico.store.sql.schema import replicas

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(180)]

GOOD = """
version: 1
name: a
routers: [{prefix: /a, server: a}]
servers: [{name: a}]
tools:
  - {name: ask, request: {url: "http://127.0.0.1:PORT/"}}
"""
BROKEN = "version: 1\nname: broken\nrouters: [{prefix: /b, server: nowhere}]\n"
AWAY = """
version: 1
name: away
routers: [{prefix: /away, server: away}]
mcpServers: {away: {url: "http://127.0.0.1:PORT/mcp", start: atStart}}
"""
HOUR = 3_600_000


@pytest.fixture(params=KINDS)
def desk(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Desk]:
    with made(request.param, tmp_path) as kind:
        found = Desk(kind.url, tmp_path)
        found.done("migrate")
        yield found


def pass_time(url: str, milliseconds: int) -> None:
    """As if every report were so much older."""

    async def work() -> None:
        engine = create(parse(url))
        async with engine.begin() as connection:
            await connection.execute(update(replicas).values(reported_at=replicas.c.reported_at - milliseconds))
        await engine.dispose()

    asyncio.run(work())


def reports(desk: Desk) -> dict[str, Any]:
    """What the replicas say, by the address that they listen on."""
    return {each["address"]: each for each in asyncio.run(listed(desk.url))}


async def listed(url: str) -> Any:
    """What the command prints with --json, without the time that a process takes to start."""
    command = ReplicaList(Settings(store=url), "default")
    try:
        return json.loads(json.dumps((await command.listed()).data))
    finally:
        await command.close()


def report_of(desk: Desk, running: Gateway, **wanted: Any) -> dict[str, Any]:
    """Its report as soon as it says what is wanted."""

    def look() -> dict[str, Any]:
        found = reports(desk).get(running.address, {})
        return found if all(found.get(name) == value for name, value in wanted.items()) else {}

    return until(look, f"{running.address} says {wanted}")


def put(desk: Desk, name: str, text: str) -> int:
    """Written as it is, whatever is wrong with it; returns the revision."""

    async def what(store: Any) -> int:
        await store.documents.put("default", name, text.encode(), expected=None, author="anna", action="apply")
        return int(await store.revision())

    return on(desk.url, what)


def test_replicas_report_what_they_serve_and_a_dead_one_is_silent(desk: Desk, tmp_path: Path) -> None:
    late = wrong_clock(tmp_path, -HOUR // 1000)
    port = str(free_port())
    put(desk, "broken", BROKEN)
    put(desk, "away", AWAY.replace("PORT", port))
    revision = put(desk, "a", GOOD.replace("PORT", port))
    more = ["--poll", "0.2", "--copy", "off", "--workers", "2", "--egress", "any"]
    with (
        gateway(tmp_path, desk.url, *more, name="one", env=late) as one,
        gateway(tmp_path, desk.url, *more, name="two") as two,
    ):
        for running in (one, two):
            found = report_of(desk, running, revision=str(revision), newest=str(revision), answering=2, down=down(port))
            assert (found["state"], found["version"], found["workers"]) == ("reports", __version__, 2)
            assert (found["documents"], found["endpoints"]) == ({"current": 2, "nothing": 1}, 2)
            assert found["problems"]["error"] == len(found["told"])
            assert "nowhere" in found["told"][0]
        silenced(desk, one, two)
        shown = desk.done("replicas")
        assert "silent for 60 min" in shown
        assert "for 2 of 2 workers: 127.0.0.1" in shown
        assert "nowhere" in shown
        call(one)
        put(desk, "a", GOOD.replace("PORT", port) + "\n")
        assert until(lambda: reports(desk)[one.address]["figures"]["failed"] == 1, "the call that failed")
        assert [text for text in one.messages if "report" in text] == []
        one.end()
    shown: Any = desk.data("replicas")
    assert [each["address"] for each in shown] == [two.address]


def down(port: str) -> list[dict[str, Any]]:
    reason = f"127.0.0.1:{port} cannot be connected to: connection refused"
    return [{"name": "default/away/away", "state": "down", "reason": reason, "workers": 2}]


def silenced(desk: Desk, one: Gateway, two: Gateway) -> None:
    """Kill the second, and let an hour pass: the first reports the change that comes then."""
    workers = two.pids().values()
    two.end(signal.SIGKILL)
    until(lambda: not any(map(is_alive, workers)), "the workers have ended")
    pass_time(desk.url, HOUR)
    revision = put(desk, "broken", BROKEN + "\n")
    report_of(desk, one, revision=str(revision), newest=str(revision), state="reports")
    assert reports(desk)[two.address]["state"] == "silent"
    assert reports(desk)[two.address]["behind"] == 1


def call(running: Gateway) -> None:
    asked = modern_request("tools/call", {"name": "ask", "arguments": {}})
    asked["headers"]["accept"] = BOTH
    assert '"isError":true' in post(f"{running.url}/a/mcp", **asked).text.replace(" ", "")


def test_a_replica_stays_the_same_when_its_workers_are_replaced(tmp_path: Path) -> None:
    desk = Desk(f"sqlite:{tmp_path}/a.db", tmp_path)
    desk.done("migrate")
    with gateway(tmp_path, desk.url, "--poll", "0.2", "--copy", "off", "--workers", "2") as running:
        before = report_of(desk, running, answering=2)
        killed = running.pids()
        for pid in killed.values():
            os.kill(pid, signal.SIGKILL)
        revision = put(desk, "broken", BROKEN)
        until(lambda: len(running.pids().keys() - killed.keys()) == 2, "two new workers")
        after = report_of(desk, running, revision=str(revision), answering=2)
        assert after["id"] == before["id"]
        assert len(reports(desk)) == 1


def test_a_gateway_on_files_reports_to_nobody_and_the_command_says_whom_to_ask(tmp_path: Path) -> None:
    desk = Desk(f"files:{tmp_path}", tmp_path)
    done = desk("replicas")
    assert done.returncode == 2
    assert "Ask their admin listeners" in done.stderr
    assert list(tmp_path.iterdir()) == []
