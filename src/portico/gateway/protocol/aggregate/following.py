"""Listening to included servers for modern clients: to what becomes of their lists, and to resources of theirs.

A server ends a subscription when it likes to; so it is asked again for as long as somebody wants to hear. Legacy
clients hear by the conversations that they hold themselves, see joining.py.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any

import msgspec

from portico.gateway.protocol.aggregate.asking import who_asks
from portico.gateway.protocol.aggregate.hearing import ACKNOWLEDGED, ALL_KINDS, UPDATED, changed_kinds, public_update
from portico.gateway.protocol.aggregate.merging import Owner
from portico.gateway.protocol.aggregate.view import Part
from portico.gateway.protocol.call import Call
from portico.gateway.protocol.relay import Relay
from portico.gateway.routing.include import Include
from portico.net.errors import NetError
from portico.upstream.mcp.upstream import Hear, Heard, McpSpec
from portico.wire.errors import RpcError

PAUSE = 2.0
LONGEST_PAUSE = 60.0
HEAR_PATIENCE = 2.0
_LISTS: Mapping[str, Any] = {f"{kind}ListChanged": True for kind in sorted(ALL_KINDS)}


def follow_lists(relay: Relay, call: Call, part: Part, tell: Callable[[frozenset[str]], None]) -> asyncio.Task[None]:
    """Have a part know whether its lists hold, until the task is cancelled; `tell` is told which kinds do not."""

    def hear(heard: Heard) -> None:
        if heard.method == ACKNOWLEDGED:
            part.hears.set()
        elif kinds := changed_kinds(heard):
            tell(kinds)

    return _task(_hear(relay, call, part.include.spec, _LISTS, hear, part.deafen))


async def follow_resources(
    relay: Relay, call: Call, owners: Mapping[str, Owner], tell: Callable[[str], None]
) -> Callable[[], None]:
    """`tell` is told which of these public URIs are updated, and what is a part of them. Waits for the servers that
    acknowledge in time. Returns what ends it."""
    tasks: list[asyncio.Task[None]] = []
    acknowledged: list[asyncio.Event] = []
    for include in {id(owner.include): owner.include for owner in owners.values()}.values():
        mine = {uri: owner.own for uri, owner in owners.items() if owner.include is include}
        heard_of = asyncio.Event()
        wanted = {"resourceSubscriptions": sorted(set(mine.values()))}
        tasks.append(_task(_hear(relay, call, include.spec, wanted, _hear_updates(include, mine, heard_of, tell))))
        acknowledged.append(heard_of)

    def end() -> None:
        for task in tasks:
            task.cancel()

    try:
        await all_set(acknowledged)
    except BaseException:
        end()
        raise
    return end


def _hear_updates(
    include: Include, wanted: Collection[str], acknowledged: asyncio.Event, tell: Callable[[str], None]
) -> Hear:
    def hear(heard: Heard) -> None:
        if heard.method == ACKNOWLEDGED:
            acknowledged.set()
        elif heard.method == UPDATED:
            for uri in public_update((include,), heard.params, wanted):
                tell(uri)

    return hear


async def all_set(events: Iterable[asyncio.Event]) -> None:
    """Wait until the servers that are there say that they tell of changes; some never do."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(HEAR_PATIENCE):
            for event in events:
                await event.wait()


async def _hear(
    relay: Relay,
    call: Call,
    spec: McpSpec,
    wanted: Mapping[str, Any],
    hear: Hear,
    over: Callable[[], None] = lambda: None,
) -> None:
    """Listen for as long as the server lets us, again and again; one that refuses is asked ever less often. `over` is
    called whenever it ends."""
    params = b'{"_meta":%b,"notifications":%b}' % (who_asks(call), msgspec.json.encode(wanted))
    pause = PAUSE
    while True:
        try:
            conversation = await relay.conversation(call, spec)
            outcome = await conversation.request(
                "subscriptions/listen",
                params,
                identifier=f"portico-{call.call_id}",
                deadline=float("inf"),
                hear=hear,
                headers=relay.forwarded(call, spec),
            )
            pause = LONGEST_PAUSE if outcome.is_error else PAUSE
        except RpcError:
            pause = LONGEST_PAUSE
        except NetError:
            pause = min(pause * 2, LONGEST_PAUSE)
        finally:
            over()
        await asyncio.sleep(pause)


def _task(work: Any) -> asyncio.Task[None]:
    return asyncio.get_running_loop().create_task(work)
