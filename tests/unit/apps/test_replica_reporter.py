"""When a replica reports, and what becomes of it while the store does not take reports."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Collection
from contextlib import asynccontextmanager

import pytest

from portico.apps.replica.report import Report
from portico.apps.replica.reporter import BEAT, CLEAR, Reporter
from portico.store.records import Replica
from portico.store.store import StoreError

pytestmark = pytest.mark.anyio


class Kept:
    """A store of reports that fails while there is a `failure`, and a clock that only a test moves."""

    def __init__(self) -> None:
        self.now = 0.0
        self.looks = 0
        self.standing = "first"
        self.agreed = True
        self.failure: Exception | None = None
        self.tried = 0
        self.written: list[str] = []
        self.forgotten: list[str] = []
        self.cleared = 0

    async def report(self, id: str, report: bytes) -> None:
        self.tried += 1
        if self.failure is not None:
            raise self.failure
        self.written.append(id)

    async def list(self) -> list[Replica]:
        raise NotImplementedError

    async def forget(self, ids: Collection[str]) -> None:
        if self.failure is not None:
            raise self.failure
        self.forgotten += ids

    async def clear(self, older: int) -> None:
        self.cleared += 1

    async def make(self) -> Report:
        return Report(workers=1, answering=1 if self.agreed else 0)

    def look(self) -> str:
        self.looks += 1
        return self.standing

    async def looked(self) -> None:
        """Until it has looked twice more, so once with everything that holds now."""
        await seen(lambda wanted=self.looks + 2: self.looks >= wanted)

    async def beat(self) -> None:
        self.now += BEAT[1]
        await self.looked()


async def seen(look: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not look():  # noqa: ASYNC110 - what is waited for tells nobody.
            await asyncio.sleep(0)


@asynccontextmanager
async def reporting(kept: Kept) -> AsyncIterator[Reporter]:
    reporter = Reporter("me", kept, kept.make, kept.look, lambda: kept.now, look=0.0)
    task = asyncio.get_running_loop().create_task(reporter.run())
    try:
        await kept.looked()
        yield reporter
        assert not task.done() or task.cancelled()
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_it_reports_at_each_beat_and_at_each_change() -> None:
    kept = Kept()
    async with reporting(kept):
        assert kept.written == ["me"]
        kept.now += BEAT[0] - 0.1
        await kept.looked()
        assert len(kept.written) == 1
        await kept.beat()
        assert len(kept.written) == 2
        kept.standing = "second"
        await kept.looked()
        assert len(kept.written) == 3


async def test_while_workers_do_not_agree_it_looks_again_for_a_while() -> None:
    kept = Kept()
    kept.agreed = False
    async with reporting(kept):
        before = len(kept.written)
        await kept.looked()
        assert len(kept.written) > before
        await kept.beat()
        before = len(kept.written)
        await kept.looked()
        assert len(kept.written) == before


async def test_a_failing_write_is_said_once_and_tried_at_the_next_beat(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "portico.replica")
    kept = Kept()
    async with reporting(kept):
        kept.failure = StoreError("it is down", "Wait")
        await kept.beat()
        tried = kept.tried
        kept.standing = "changed meanwhile"
        await kept.looked()
        assert kept.tried == tried
        await kept.beat()
        assert kept.tried == tried + 1
        assert [record.getMessage() for record in caplog.records] == [
            "The store has no new report of this replica, which is tried again every few seconds: it is down. Wait."
        ]
        kept.failure = None
        await kept.beat()
        assert len(kept.written) == 2
        assert caplog.records[-1].getMessage() == "Reports of this replica reach the store again."


async def test_nothing_that_goes_wrong_ends_it(caplog: pytest.LogCaptureFixture) -> None:
    kept = Kept()
    async with reporting(kept):
        for failure in (TimeoutError(), RuntimeError("a defect")):
            kept.failure = failure
            await kept.beat()
            kept.failure = None
            await kept.beat()
        assert len(kept.written) == 3
        assert "a defect" in caplog.text


async def test_a_replica_that_ends_in_order_is_forgotten_and_reports_no_more() -> None:
    kept = Kept()
    async with reporting(kept) as reporter:
        await reporter.leave(forget=True)
        assert kept.forgotten == ["me"]
        looks = kept.looks
        kept.now += BEAT[1]
        for _ in range(10):
            await asyncio.sleep(0)
        assert (kept.looks, len(kept.written)) == (looks, 1)


async def test_a_replica_that_does_not_end_in_order_is_to_be_missed() -> None:
    kept = Kept()
    async with reporting(kept) as reporter:
        await reporter.leave(forget=False)
        assert kept.forgotten == []


async def test_a_store_that_is_down_does_not_keep_a_replica_from_ending() -> None:
    kept = Kept()
    async with reporting(kept) as reporter:
        kept.failure = StoreError("it is down", "Wait")
        await reporter.leave(forget=True)


async def test_old_reports_are_cleared_away_now_and_then() -> None:
    kept = Kept()
    async with reporting(kept):
        assert kept.cleared == 1
        await kept.beat()
        assert kept.cleared == 1
        kept.now += CLEAR
        await kept.looked()
        assert kept.cleared == 2
