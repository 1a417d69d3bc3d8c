"""Calls that wait, whatever comes in whatever order: bounded, found once by who may go on with them, and counted."""

import asyncio
from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portico.gateway.protocol.bridge.lanes import Lane
from portico.gateway.protocol.bridge.parked import Parked
from portico.gateway.protocol.bridge.parking import Parking, ParkingLimits
from portico.gateway.protocol.bridge.seal import Seal
from portico.upstream.mcp.upstream import McpSpec, Outcome
from portico.wire.errors import RpcError

LIMITS = ParkingLimits(most=4, at_server=3, of_caller=2)
SERVERS = [McpSpec("t", "d", name, "http", url="http://x") for name in ("one", "two")]
STEPS = st.lists(
    st.tuples(st.just("park"), st.sampled_from(["ada", "bob", "cy"]), st.sampled_from(SERVERS))
    | st.tuples(st.sampled_from(["take", "again", "foreign", "expire"]), st.integers(0, 5), st.none()),
    max_size=30,
)


class Lot:
    """The parking, and what it should have: the calls that wait by their state, in the order in which they came."""

    def __init__(self) -> None:
        self.parking = Parking(Seal(b"k" * 32, "one"), LIMITS)
        self.lane = Lane(None)
        self.waiting: dict[str, Parked] = {}
        self.used: list[str] = []
        self.calls: list[asyncio.Task[Outcome]] = []

    def park(self, owner: str, server: McpSpec) -> None:
        parked = self.parking.new(owner, server, b"bound", (), self.lane)
        parked.begin(asyncio.sleep(60, Outcome(b"", False)), lambda: None)
        assert parked._task is not None
        self.calls.append(parked._task)
        mine = [state for state, one in self.waiting.items() if one.owner == owner]
        if len(mine) == LIMITS.of_caller:
            self.waiting.pop(mine[0])
            self.used.append(mine[0])
        there = [one for one in self.waiting.values() if one.server == server]
        if len(self.waiting) == LIMITS.most or len(there) == LIMITS.at_server:
            with pytest.raises(RpcError, match="try again later"):
                self.parking.park(parked)
        else:
            self.waiting[self.parking.park(parked)] = parked

    def take(self, at: int) -> None:
        for state, parked in list(self.waiting.items())[at : at + 1]:
            assert self.parking.take(state, b"bound") is parked
            del self.waiting[state]
            self.used.append(state)
            parked.cancel()

    def again(self, at: int) -> None:
        for state in self.used[at : at + 1]:
            self.is_refused(state, b"bound", "is over")

    def foreign(self, at: int) -> None:
        for state in list(self.waiting)[at : at + 1]:
            self.is_refused(state, b"other", "is not one that")

    def expire(self, at: int) -> None:
        for state, parked in list(self.waiting.items())[at : at + 1]:
            assert parked.expiry is not None
            parked.expiry._run()
            del self.waiting[state]
            self.used.append(state)

    def is_refused(self, state: str, bound: bytes, why: str) -> None:
        with pytest.raises(RpcError, match=why):
            self.parking.take(state, bound)

    def check(self) -> None:
        waiting = list(self.waiting.values())
        assert len(self.parking) == len(waiting) == self.lane.waiting
        assert self.parking._at_server == Counter(parked.server for parked in waiting)
        assert {owner: len(calls) for owner, calls in self.parking._by_owner.items()} == Counter(
            parked.owner for parked in waiting
        )


@given(STEPS)
def test_calls_that_wait_are_bounded_and_taken_once(steps: list[tuple[Any, ...]]) -> None:
    async def run() -> None:
        lot = Lot()
        for what, one, other in steps:
            getattr(lot, what)(*((one, other) if what == "park" else (one,)))
            lot.check()
        still = {id(parked._task) for parked in lot.waiting.values()}
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert [call.cancelled() for call in lot.calls] == [id(call) not in still for call in lot.calls]
        lot.parking.close()
        lot.waiting.clear()
        lot.check()

    asyncio.run(run())
