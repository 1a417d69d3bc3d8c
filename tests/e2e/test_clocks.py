"""Clocks that are wrong by an hour, of gateways and of the database: no change is missed."""

import asyncio
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import update
from tests.e2e.clocks import HOUR, wrong_clock
from tests.e2e.processes import gateway, until
from tests.e2e.test_databases import document, on, put, served
from tests.fakes.databases import KINDS, Kind, made

from portico.apps.migrate import migrate
from portico.db.address import parse
from portico.db.engine import create
from portico.settings import Settings
from portico.store.sql.schema import audit, documents, versions

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(120)]


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Kind]:
    with made(request.param, tmp_path) as found:
        migrate(Settings(store=found.url))
        yield found


def shift(url: str, seconds: int) -> None:
    """As if the clock of the database had been so far ahead until now, and were right from now on."""

    async def work() -> None:
        engine = create(parse(url))
        async with engine.begin() as connection:
            for table in (documents, versions, audit):
                await connection.execute(update(table).values(at=table.c.at + seconds * 1000))
        await engine.dispose()

    asyncio.run(work())


def test_no_change_is_missed_when_a_clock_is_an_hour_off(kind: Kind, tmp_path: Path) -> None:
    early, late = wrong_clock(tmp_path, HOUR), wrong_clock(tmp_path, -HOUR)
    put(kind.url, document("first"))
    # Its times stay an hour ahead of, or behind, those of the one that changes.
    put(kind.url, document("other").replace(b"/a,", b"/b,").replace(b"name: a\n", b"name: b\n"), name="b")
    settings = ["--poll", "0.2", "--copy", "off"]
    with (
        gateway(tmp_path, kind.url, *settings, name="early", env=early) as one,
        gateway(tmp_path, kind.url, *settings, name="late", env=late) as two,
    ):

        def both_serve(*markers: str) -> None:
            wanted = [f"test://{marker}" for marker in markers]
            for each in (one, two):
                until(lambda each=each: served(each) == wanted, f"{wanted} at {each.url}")

        both_serve("first")
        for number, seconds in enumerate((HOUR, -2 * HOUR, 2 * HOUR)):
            shift(kind.url, seconds)
            for marker in (f"change-{number}", f"again-{number}"):
                put(kind.url, document(marker))
                both_serve(marker)
        shift(kind.url, HOUR)
        on(kind.url, rolled_back)
        both_serve("first")
        shift(kind.url, HOUR)
        on(kind.url, deleted)
        both_serve()
        for running, seconds in ((one, HOUR), (two, -HOUR)):
            assert abs(json.loads(running.log.splitlines()[-1])["at"] - seconds - time.time()) < HOUR / 2


async def rolled_back(store: Any) -> None:
    await store.documents.rollback("default", "a", 1, expected=None, author="anna")


async def deleted(store: Any) -> None:
    await store.documents.delete("default", "a", expected=None, author="anna")
