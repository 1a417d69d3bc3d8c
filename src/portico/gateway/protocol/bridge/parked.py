"""A call to a legacy server that may have to wait for its client's input, while nobody awaits it.

A legacy server asks while it works on a call; a modern client is answered `input_required` and asks again with the
answers. In between the call is parked: it goes on upstream, and what it comes to is kept.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Coroutine
from typing import Any

import msgspec

from portico.gateway.protocol.bridge.lanes import Lane
from portico.gateway.protocol.bridge.members import error_member, members_of, raw
from portico.upstream.mcp import envelope
from portico.upstream.mcp.upstream import Hear, Heard, McpSpec, Outcome
from portico.wire import errors
from portico.wire.errors import RpcError

GATHER = 0.05
MOST_ROUNDS = 32
MOST_QUESTIONS = 16
ASKABLE = {"sampling/createMessage": "sampling", "elicitation/create": "elicitation", "roots/list": "roots"}


class Parked:
    """One such call, in a lane of its upstream. `bound` is what a retry must be equal to, `can` names what its client
    answers."""

    def __init__(
        self, number: str, owner: str, server: McpSpec, bound: bytes, can: Collection[str], lane: Lane
    ) -> None:
        self.number = number
        self.owner = owner
        self.server = server
        self.bound = bound
        self.lane = lane
        self.round = 0
        self.waits = False
        self.expiry: asyncio.TimerHandle | None = None
        self._can = can
        self._questions: dict[str, Heard] = {}
        self._asked = 0
        self._hear: Hear | None = None
        self._token: bytes | None = None
        self._task: asyncio.Task[Outcome] | None = None
        self._turn: asyncio.Future[None] | None = None
        self._gathering: asyncio.TimerHandle | None = None
        self._failure: RpcError | None = None

    def begin(self, work: Coroutine[Any, Any, Outcome], after: Callable[[], None]) -> None:
        """`after` is called when the work has ended, even if it never began."""
        self._task = asyncio.get_running_loop().create_task(work)
        self._task.add_done_callback(lambda task: self._ended(task, after))

    async def turn(self, hear: Hear | None, token: bytes | None) -> Outcome | None:
        """Go on until the call has ended, whose outcome this is, or needs input: None. What is said meanwhile goes to
        `hear`, progress under `token`. Cancelling this cancels the call. Raises what the call raised."""
        task = self._task
        assert task is not None
        self.waits, self._hear, self._token = False, hear, token
        if self._questions:
            self._gather()
        try:
            while not task.done():
                self._turn = asyncio.get_running_loop().create_future()
                await self._turn
                if self._failure is not None:
                    break
                if self._questions and self._gathering is None and not task.done():
                    return None
        except asyncio.CancelledError:
            self.cancel()
            raise
        finally:
            self._turn = self._hear = None
        self._task = None
        self._refuse_all("The call has ended.")
        if self._failure is not None:
            raise self._failure
        return task.result()

    def hear(self, heard: Heard) -> None:
        """Something that the server says about this call."""
        if heard.answer is None:
            self._pass_on(heard)
            return
        needed = ASKABLE.get(heard.method)
        if needed is None or needed not in self._can:
            text = f"This client did not declare that it answers {heard.method}."
            heard.answer(error_member(errors.METHOD_NOT_FOUND, text))
        elif len(self._questions) >= MOST_QUESTIONS or self.round >= MOST_ROUNDS:
            text = f"A call may ask its client {MOST_QUESTIONS} questions at once, and {MOST_ROUNDS} times"
            heard.answer(error_member(errors.OVERLOADED, f"{text}."))
            # A server that takes no for an answer would have ended it; one that does not asks for ever.
            self._give_up(RpcError(errors.INTERNAL_ERROR, f"{text}; the server asked more, so the call was given up."))
        else:
            self._asked += 1
            key = f"input-{self._asked}"
            self._questions[key] = heard
            heard.withdrawn = lambda: self._withdraw(key)
            self._gather()

    def requests(self) -> msgspec.Raw:
        """`inputRequests`: what the server asked and has no answer to."""
        found: dict[str, dict[str, object]] = {}
        for key, heard in self._questions.items():
            found[key] = {"method": heard.method}
            if heard.params is not None:
                found[key]["params"] = msgspec.Raw(heard.params)
        return raw(found)

    def answer(self, responses: msgspec.Raw | None) -> None:
        """Pass on what a client answered. What it left out is asked again, what nobody asked is ignored
        (specification 2026-07-28, patterns/mrtr: Error Handling)."""
        for key, value in members_of(responses).items():
            if not bytes(value).startswith(b"{"):
                continue
            heard = self._questions.pop(key, None)
            if heard is not None and heard.answer is not None:
                heard.answer(b'"result":' + bytes(value))

    def cancel(self) -> None:
        """Nobody wants the outcome any more."""
        if self.expiry is not None:
            self.expiry.cancel()
        if self._gathering is not None:
            self._gathering.cancel()
            self._gathering = None
        if self._task is not None:
            self._task.cancel()
            self._task = None
        self._refuse_all("The client did not answer.")

    def _give_up(self, failure: RpcError) -> None:
        self._failure = failure
        if self._task is not None:
            self._task.cancel()
        self._wake()

    def _pass_on(self, heard: Heard) -> None:
        if self._hear is None:
            return
        if heard.method == "notifications/progress":
            # A retry has a token of its own, or none.
            if self._token is None or heard.params is None:
                return
            heard = Heard(heard.method, envelope.put(heard.params, self._token, "progressToken"))
        self._hear(heard)

    def _gather(self) -> None:
        """Questions that come close together are asked in one round."""
        if self._gathering is None and not self.waits:
            self._gathering = asyncio.get_running_loop().call_later(GATHER, self._gathered)

    def _gathered(self) -> None:
        self._gathering = None
        self._wake()

    def _withdraw(self, key: str) -> None:
        self._questions.pop(key, None)

    def _refuse_all(self, text: str) -> None:
        questions, self._questions = self._questions, {}
        for heard in questions.values():
            if heard.answer is not None:
                heard.answer(error_member(errors.CANCELLED, text))

    def _wake(self) -> None:
        if self._turn is not None and not self._turn.done():
            self._turn.set_result(None)

    def _ended(self, task: asyncio.Task[Outcome], after: Callable[[], None]) -> None:
        after()
        if not task.cancelled():
            # Whoever comes back for it is told; an error that nobody comes back for is no news.
            task.exception()
        self._wake()
