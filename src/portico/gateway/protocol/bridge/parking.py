"""The calls of this worker that wait for input: bounded, each for a while, and each taken up once a round."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Collection
from typing import Any

from portico.gateway.protocol.bridge.lanes import Lane
from portico.gateway.protocol.bridge.parked import MOST_ROUNDS, Parked
from portico.gateway.protocol.bridge.seal import LIFETIME, Seal
from portico.wire import errors
from portico.wire.errors import RpcError

MOST = 1_000
MOST_OF_A_CALLER = 32


class Parking:
    def __init__(self, seal: Seal) -> None:
        self._seal = seal
        self._parked: dict[str, Parked] = {}
        self._by_owner: dict[str, dict[str, Parked]] = {}

    def __len__(self) -> int:
        return len(self._parked)

    def new(self, owner: str, bound: bytes, can: Collection[str], lane: Lane) -> Parked:
        """A call that may be parked; it is not yet."""
        return Parked(secrets.token_urlsafe(12), owner, bound, can, lane)

    def park(self, parked: Parked) -> str:
        """The `requestState` by which it is found again. Where its caller has too many, its oldest is given up."""
        if parked.round >= MOST_ROUNDS:
            parked.cancel()
            text = f"The server asked for input {MOST_ROUNDS} times in one call, and is asked no more."
            raise RpcError(errors.INTERNAL_ERROR, text)
        mine = self._by_owner.setdefault(parked.owner, {})
        if len(mine) >= MOST_OF_A_CALLER:
            self._give_up(next(iter(mine.values())))
            mine = self._by_owner.setdefault(parked.owner, {})
        if len(self._parked) >= MOST:
            parked.cancel()
            self._tidy(parked.owner)
            text = f"{MOST} calls wait for input of their clients; try again later."
            raise RpcError(errors.OVERLOADED, text, status=503, retry_after=5)
        parked.round += 1
        parked.waits = True
        parked.lane.waiting += 1
        self._parked[parked.number] = mine[parked.number] = parked
        parked.expiry = asyncio.get_running_loop().call_later(LIFETIME, self._give_up, parked)
        return self._seal.close(parked.number, parked.round, parked.bound)

    def take(self, state: Any, bound: bytes) -> Parked:
        """The call that a retry goes on with, once for each state; or RpcError that says what to do."""
        ticket = self._seal.open(state)
        if ticket is None or ticket.bound != bound:
            raise refused()
        parked = self._parked.get(ticket.number)
        if ticket.worker != self._seal.worker or parked is None or parked.round != ticket.round:
            raise over()
        self._forget(parked)
        return parked

    def close(self) -> None:
        for parked in tuple(self._parked.values()):
            self._give_up(parked)

    def _give_up(self, parked: Parked) -> None:
        self._forget(parked)
        parked.cancel()

    def _forget(self, parked: Parked) -> None:
        if parked.expiry is not None:
            parked.expiry.cancel()
            parked.expiry = None
        if self._parked.pop(parked.number, None) is not None:
            parked.lane.waiting -= 1
            self._by_owner.get(parked.owner, {}).pop(parked.number, None)
        self._tidy(parked.owner)

    def _tidy(self, owner: str) -> None:
        if not self._by_owner.get(owner, True):
            del self._by_owner[owner]


def refused() -> RpcError:
    text = "This requestState is not one that this request was given, or has expired"
    return RpcError(errors.INVALID_PARAMS, f"{text}: send the request again without requestState and inputResponses.")


def over() -> RpcError:
    text = "The call that this requestState belongs to is over, or was gone on with already"
    return RpcError(errors.INVALID_PARAMS, f"{text}: send the request again without requestState and inputResponses.")
