"""What a modern server wants to know before it answers, asked of a legacy client as servers of its era do."""

from __future__ import annotations

import asyncio
import secrets

import msgspec

from portico.gateway.protocol.bridge.members import Members, encode, error, members_of, raw, value_of
from portico.gateway.protocol.bridge.parked import ASKABLE, MOST_QUESTIONS
from portico.upstream.mcp.upstream import Hear, Heard
from portico.wire import errors

_PAUSE = 0.1
_LONGEST_PAUSE = 2.0


class NoAnswer(Exception):
    """The client refused what the server wants to know; `member` is the error that it gave. It never leaves here."""

    def __init__(self, member: bytes) -> None:
        super().__init__()
        self.member = member


async def ask(found: Members, hear: Hear | None, number: int, patience: float) -> Members:
    """`inputResponses` and `requestState` of the next try, after `number` others; or NoAnswer. An answer is waited for
    as long as `patience`, in seconds."""
    asked = members_of(found.get("inputRequests"))
    added = {"requestState": found["requestState"]} if "requestState" in found else {}
    if not asked:
        await asyncio.sleep(min(_PAUSE * 2**number, _LONGEST_PAUSE))
        return added
    if len(asked) > MOST_QUESTIONS or hear is None:
        raise NoAnswer(error(errors.INTERNAL_ERROR, "The server asked more than this client can be asked.").member)
    waiting = {key: _put(question, hear) for key, question in asked.items()}
    try:
        async with asyncio.timeout(patience):
            answers = {key: await answer for key, answer in waiting.items()}
    except TimeoutError:
        raise NoAnswer(error(errors.CANCELLED, "The client did not answer what the server asked.").member) from None
    finally:
        for answer in waiting.values():
            answer.cancel()
    added["inputResponses"] = raw(answers)
    return added


def _put(question: msgspec.Raw, hear: Hear) -> asyncio.Future[msgspec.Raw]:
    """Ask the client one question. What it answers is the future's result."""
    answer: asyncio.Future[msgspec.Raw] = asyncio.get_running_loop().create_future()
    # Who waits for several may never come to see that one of them failed.
    answer.add_done_callback(lambda done: None if done.cancelled() else done.exception())
    found = members_of(question)
    method, params = value_of(found.get("method")), members_of(found.get("params"))

    def take(member: bytes) -> None:
        if answer.done():
            return
        kind, _, body = member.partition(b":")
        if kind == b'"result"':
            answer.set_result(msgspec.Raw(body))
        else:
            answer.set_exception(NoAnswer(member))

    if method not in ASKABLE:
        take(error(errors.INTERNAL_ERROR, "The server asked what clients are not asked.").member)
        return answer
    if method == "elicitation/create" and value_of(params.get("mode")) == "url":
        # Revision 2025-11-25 wants it; nobody tells of its completion any more.
        params.setdefault("elicitationId", raw(secrets.token_urlsafe(12)))
    hear(Heard(method, encode(params) if params else None, take))
    return answer


def without_questions(hear: Hear | None) -> Hear:
    """What the server says about a request; modern servers ask nothing in this way."""
    return lambda heard: hear(heard) if hear is not None and heard.answer is None else None
