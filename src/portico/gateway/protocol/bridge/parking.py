"""The calls of this worker that wait for input: bounded, each for a while, and each taken up once a round."""

from __future__ import annotations

import asyncio
import secrets
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from portico.gateway.protocol.bridge.lanes import Lane
from portico.gateway.protocol.bridge.parked import MOST_ROUNDS, Parked
from portico.gateway.protocol.bridge.seal import Seal
from portico.upstream.mcp.upstream import McpSpec
from portico.wire import errors
from portico.wire.errors import RpcError


@dataclass(frozen=True, slots=True)
class ParkingLimits:
    """A call that waits keeps a connection to its server, which others need as well."""

    most: int = 1_000
    at_server: int = 128
    of_caller: int = 32


class Parking:
    def __init__(self, seal: Seal, limits: ParkingLimits) -> None:
        self._seal = seal
        self._limits = limits
        self._parked: dict[str, Parked] = {}
        self._by_owner: dict[str, dict[str, Parked]] = {}
        self._at_server: Counter[McpSpec] = Counter()

    def __len__(self) -> int:
        return len(self._parked)

    def new(self, owner: str, server: McpSpec, bound: bytes, can: Collection[str], lane: Lane) -> Parked:
        """A call that may be parked; it is not yet."""
        return Parked(secrets.token_urlsafe(12), owner, server, bound, can, lane)

    def park(self, parked: Parked) -> str:
        """The `requestState` by which it is found again. Where its caller has too many, its oldest is given up."""
        if parked.round >= MOST_ROUNDS:
            parked.cancel()
            text = f"The server asked for input {MOST_ROUNDS} times in one call, and is asked no more."
            raise RpcError(errors.INTERNAL_ERROR, text)
        mine = self._by_owner.get(parked.owner, {})
        if len(mine) >= self._limits.of_caller:
            self._give_up(next(iter(mine.values())))
        self._make_sure_of_room(parked)
        parked.round += 1
        parked.waits = True
        parked.lane.waiting += 1
        self._at_server[parked.server] += 1
        self._parked[parked.number] = parked
        self._by_owner.setdefault(parked.owner, {})[parked.number] = parked
        parked.expiry = asyncio.get_running_loop().call_later(self._seal.lifetime, self._give_up, parked)
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

    def _make_sure_of_room(self, parked: Parked) -> None:
        limits, server = self._limits, parked.server
        if len(self._parked) >= limits.most:
            full = f"{limits.most} calls wait for input of their clients"
        elif self._at_server[server] >= limits.at_server:
            full = f"{limits.at_server} calls at {server.name} wait for input of their clients"
        else:
            return
        parked.cancel()
        raise RpcError(errors.OVERLOADED, f"{full}, and this one cannot; try again later.", status=503, retry_after=5)

    def _give_up(self, parked: Parked) -> None:
        self._forget(parked)
        parked.cancel()

    def _forget(self, parked: Parked) -> None:
        if parked.expiry is not None:
            parked.expiry.cancel()
            parked.expiry = None
        if self._parked.pop(parked.number, None) is not None:
            parked.lane.waiting -= 1
            _take_one(self._at_server, parked.server)
            mine = self._by_owner[parked.owner]
            del mine[parked.number]
            if not mine:
                del self._by_owner[parked.owner]


def _take_one(counted: Counter[McpSpec], server: McpSpec) -> None:
    counted[server] -= 1
    if not counted[server]:
        del counted[server]


def refused() -> RpcError:
    text = "This requestState is not one that this request was given, or has expired"
    return RpcError(errors.INVALID_PARAMS, f"{text}: send the request again without requestState and inputResponses.")


def over() -> RpcError:
    text = "The call that this requestState belongs to is over, or was gone on with already"
    return RpcError(errors.INVALID_PARAMS, f"{text}: send the request again without requestState and inputResponses.")
