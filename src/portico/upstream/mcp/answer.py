"""What an HTTP answer of an upstream means: messages, a lost session, or an error that says what came back."""

from __future__ import annotations

import http

from portico.net.errors import Malformed, Rejected
from portico.net.response import Response
from portico.net.streaming import StreamingResponse
from portico.upstream.mcp import envelope as envelope
from portico.upstream.mcp.target import Target
from portico.upstream.mcp.upstream import Outcome
from portico.wire.jsonrpc import UNSET, Id, Message
from portico.wire.sse_reader import Event

LONGEST = 8 * 1024 * 1024
_SHOWN = 200


class Refusal(Rejected):
    """The server answered with a status that is no answer to the request."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message, sent=True)
        self.status = status


def is_events(response: Response | StreamingResponse) -> bool:
    return (response.header(b"content-type") or b"").lower().startswith(b"text/event-stream")


async def body_of(target: Target, response: Response | StreamingResponse) -> bytes:
    """All of it, at most LONGEST."""
    if isinstance(response, Response):
        return response.body
    pieces: list[bytes] = []
    size = 0
    async with response:
        async for piece in response:
            size += len(piece)
            if size > LONGEST:
                raise Rejected(f"{target.name} answered with a body of more than {LONGEST} bytes", sent=True)
            pieces.append(piece)
    return b"".join(pieces)


def messages_in(target: Target, data: bytes) -> list[Message]:
    try:
        return envelope.read(data)
    except ValueError as error:
        raise Malformed(f"{target.name} answered with what is no JSON-RPC: {error}", sent=True) from None


def whole_outcome(target: Target, response: Response | StreamingResponse, body: bytes, number: Id) -> Outcome:
    """The end of a request that a JSON answer tells. A JSON-RPC error may come with any status."""
    if response.status < 300:
        sole = envelope.sole_outcome(body, number)
        if sole is not None:
            return sole
        for message in messages_in(target, body):
            if message.method is UNSET and message.id == number:
                return envelope.outcome(message)
        raise Malformed(f"{target.name} answered, but not to the request that it was sent", sent=True)
    error = error_in(body)
    if error is not None and (error.id == number or response.status in (400, 404)):
        return envelope.outcome(error)
    raise refused(target, response, body)


def sole_outcome(events: list[Event], number: Id) -> Outcome | None:
    """The end of a request, where that is all that these events tell."""
    return envelope.sole_outcome(events[0].data, number) if len(events) == 1 else None


def error_in(body: bytes) -> Message | None:
    """The JSON-RPC error that a refusal carries, with the id of the request or none."""
    try:
        message = envelope.read(body)[0]
    except (ValueError, IndexError):
        return None
    return message if message.method is UNSET and message.error is not UNSET else None


def is_lost_session(status: int, body: bytes) -> bool:
    """404 is what the specification says (2025-11-25, transports: Session Management); many servers say 400."""
    if status not in (400, 404):
        return False
    error = error_in(body)
    if status == 404:
        return error is None or envelope.code(envelope.outcome(error)) != -32601
    return error is not None and "session" in envelope.message(envelope.outcome(error)).lower()


def refused(target: Target, response: Response | StreamingResponse, body: bytes) -> Refusal:
    """An answer that is none: says the status and how the body begins."""
    try:
        phrase = http.HTTPStatus(response.status).phrase
    except ValueError:
        phrase = ""
    error = error_in(body)
    said = body[: 4 * _SHOWN].decode(errors="replace")
    if error is not None:
        said = envelope.message(envelope.outcome(error)) or said
    said = target.hidden(" ".join(said.split()))[:_SHOWN]
    text = f"{target.name} answered {response.status} {phrase}".rstrip()
    if 300 <= response.status < 400:
        return Refusal(f"{text}, and redirects are not followed; write the URL where it leads", response.status)
    return Refusal(f"{text}: {said}" if said else text, response.status)
