"""Which kinds of answer a client reads, judged once for each pair of Content-Type and Accept: there are few."""

from __future__ import annotations

from dataclasses import dataclass

from portico.gateway.exchange import Reply, Request, text_reply

_MOST_REMEMBERED = 256


@dataclass(frozen=True, slots=True)
class Media:
    """`refusal` is 415 for a body that is not JSON, 406 for a client that would read neither kind of answer."""

    json: bool
    events: bool
    refusal: Reply | None


_remembered: dict[tuple[bytes | None, bytes | None], Media] = {}


def media_of(request: Request) -> Media:
    key = (request.headers.get(b"content-type"), request.headers.get(b"accept"))
    media = _remembered.get(key)
    if media is None:
        media = _judge(*key)
        if len(_remembered) < _MOST_REMEMBERED:
            _remembered[key] = media
    return media


def accepts_events(request: Request) -> bool:
    return _accepts(request.headers.get(b"accept"), b"text/event-stream")


def _judge(content_type: bytes | None, accept: bytes | None) -> Media:
    json, events = _accepts(accept, b"application/json"), _accepts(accept, b"text/event-stream")
    if (content_type or b"").partition(b";")[0].strip().lower() != b"application/json":
        return Media(json, events, text_reply(415, "The body must be JSON: send Content-Type: application/json."))
    if not json and not events:
        text = "Answers are JSON or an event stream: accept application/json and text/event-stream."
        return Media(json, events, text_reply(406, text))
    return Media(json, events, None)


def _accepts(accept: bytes | None, kind: bytes) -> bool:
    if accept is None:
        return True
    accept = accept.lower()
    return kind in accept or b"*/*" in accept or kind.partition(b"/")[0] + b"/*" in accept
