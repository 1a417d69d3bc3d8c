"""An upstream's answer becomes what a model reads: content blocks, and structured content where there is JSON.

Where the document asks for nothing, the upstream's bytes pass: JSON is checked, not decoded, and spliced in as it came.
"""

from __future__ import annotations

import base64
from codecs import BOM_UTF8
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Any, Protocol
from urllib.parse import urlsplit

import jsonschema_rs
import msgspec

from portico.config.document import Tool
from portico.template import RenderError, Template, compile_text, compile_value
from portico.template.fuel import fuelled, weigh
from portico.template.value import text_of
from portico.upstream.media import Media, media_of
from portico.upstream.multipart import is_whole
from portico.upstream.selection import Select

ROOTS = frozenset({"args", "values", "request", "session", "response"})
MAX_ERROR_TEXT = 65_536
_MOST_WHY = 300

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder().decode
_check = msgspec.json.Decoder(msgspec.Raw).decode
_OPENING = (b"{", b"[")
_NOT_JSON = (msgspec.MsgspecError, ValueError, RecursionError)

Scope = dict[str, Any]


class Response(Protocol):
    """What is needed of an HTTP answer."""

    status: int
    body: bytes

    @property
    def headers(self) -> list[tuple[bytes, bytes]]: ...
    def header(self, name: bytes) -> bytes | None: ...


class Shaped:
    """`content` is an encoded JSON array of content blocks, `structured` encoded JSON on one line.

    `sent` is what went out, for the log, without secrets; `why` a sentence of ours where the answer is an error.
    """

    __slots__ = ("content", "is_error", "sent", "status", "structured", "why")

    def __init__(self, content: bytes, structured: bytes | None, is_error: bool, status: int | None) -> None:
        self.content = content
        self.structured = structured
        self.is_error = is_error
        self.status = status
        self.sent = ""
        self.why = ""


def text_content(text: str) -> bytes:
    return b'[{"type":"text","text":%b}]' % _encode(text)


def failure(text: str, status: int | None = None) -> Shaped:
    shaped = Shaped(text_content(text), None, True, status)
    # What follows the first line is the upstream's, and bodies stay out of logs.
    shaped.why = text.partition("\n")[0][:_MOST_WHY]
    return shaped


Way = Callable[["AnswerPlan", Response, Scope], Shaped]


class AnswerPlan:
    """`shape(response, scope)` never raises: an answer that cannot be shaped is an error that says why."""

    __slots__ = ("_needs", "_output", "_select", "_shape", "_template", "_uri", "_way", "reads")

    def __init__(self, tool: Tool, template: Template | None, blocks: bool) -> None:
        answer = tool.response
        self._template = template
        self._select = Select(answer.select) if answer.select is not None else None
        self._output = _Output(answer.output_schema) if answer.output_schema is not None else None
        self._uri = f"portico://answer/{tool.name}"
        self.reads: frozenset[tuple[str, ...]] = template.reads if template else frozenset()
        self._needs = frozenset(read[1] for read in self.reads if read[0] == "response" and len(read) > 1)
        # Functions rather than methods of this plan, which is to be freed without the garbage collector.
        self._way: Way = self._chosen(blocks)
        unchanged = self._way is AnswerPlan._passed and self._output is None
        self._shape: Way = AnswerPlan._unchanged if unchanged else AnswerPlan._guarded

    def shape(self, response: Response, scope: Scope) -> Shaped:
        return self._shape(self, response, scope)

    def _chosen(self, blocks: bool) -> Way:
        if self._template is not None:
            return AnswerPlan._authored if blocks else AnswerPlan._written
        if self._select is not None:
            return AnswerPlan._selected
        return AnswerPlan._passed

    def _unchanged(self, response: Response, scope: Scope) -> Shaped:
        """What _passed makes of the most frequent kind of answer; every other is left to it."""
        body = response.body
        if response.status >= 300:
            return _refused(response)
        if body[:1] not in _OPENING or media_of(response.header(b"content-type")).kind != "json":
            return self._passed(response, scope)
        try:
            _check(body)
            content = b'[{"type":"text","text":%b}]' % _encode(body.decode())
        except _NOT_JSON:
            return self._passed(response, scope)
        return Shaped(content, _one_line(body), False, response.status)

    def _guarded(self, response: Response, scope: Scope) -> Shaped:
        if response.status >= 300:
            return _refused(response)
        try:
            return self._way(self, response, scope)
        except RenderError as error:
            return failure(f"The answer could not be shaped: {error.message}.", response.status)
        except UnicodeEncodeError:
            return failure("The answer could not be shaped: it holds half of a surrogate pair.", response.status)

    def _passed(self, response: Response, scope: Scope) -> Shaped:
        body, status = response.body, response.status
        media = media_of(response.header(b"content-type"))
        if not body:
            return self._finished(text_content(_status_line(status)), None, status)
        if media.kind == "json":
            body = body.removeprefix(BOM_UTF8)
            try:
                _check(body)
                text = body.decode()
            except _NOT_JSON:
                return self._finished(text_content(media.text(body)), None, status)
            return self._finished(b'[{"type":"text","text":%b}]' % _encode(text), _one_line(body), status)
        return self._finished(*self._as_it_is(media, body), status)

    def _as_it_is(self, media: Media, body: bytes) -> tuple[bytes, bytes | None]:
        if media.kind == "text":
            return text_content(media.text(body)), None
        if media.kind in ("image", "audio"):
            data = base64.b64encode(body).decode()
            return _encode([{"type": media.kind, "data": data, "mimeType": media.mime_type}]), None
        if media.kind == "unknown" and (text := _plain_text(body)) is not None:
            structured = _one_line(body) if text.lstrip()[:1] in ("{", "[") and _is_json(body) else None
            return text_content(text), structured
        blob = base64.b64encode(body).decode()
        resource = {"uri": self._uri, "mimeType": media.mime_type, "blob": blob}
        return _encode([{"type": "resource", "resource": resource}]), None

    def _selected(self, response: Response, scope: Scope) -> Shaped:
        assert self._select is not None
        return self._valued(self._select.of(_json_of(response)), response.status)

    def _written(self, response: Response, scope: Scope) -> Shaped:
        assert self._template is not None
        value = self._template.render({**scope, "response": self._view(response)})
        if not isinstance(value, str):
            return self._valued(value, response.status)
        structured = value.encode() if self._output is not None and _is_json(value.encode()) else None
        return self._finished(text_content(value), structured and _one_line(structured), response.status)

    def _authored(self, response: Response, scope: Scope) -> Shaped:
        assert self._template is not None
        view = self._view(response)
        blocks = [_completed(block) for block in self._template.render({**scope, "response": view})]
        structured = None
        if self._output is not None:
            structured = _encode(view["json"] if "json" in view else self._chosen_json(response))
        return self._finished(_encode(blocks), structured, response.status)

    def _valued(self, value: Any, status: int) -> Shaped:
        encoded = _encode(value)
        return self._finished(b'[{"type":"text","text":%b}]' % _encode(encoded.decode()), encoded, status)

    def _finished(self, content: bytes, structured: bytes | None, status: int) -> Shaped:
        if self._output is not None and (problem := self._output.problem(structured)) is not None:
            return failure(f"The answer does not match the tool's output schema: {problem}.", status)
        return Shaped(content, structured, False, status)

    def _chosen_json(self, response: Response) -> Any:
        value = _json_of(response)
        return value if self._select is None else self._select.of(value)

    def _view(self, response: Response) -> dict[str, Any]:
        """`response` as templates see it: only what they read is made."""
        needs = self._needs
        view: dict[str, Any] = {"status": response.status}
        if "json" in needs or self._select is not None:
            view["json"] = self._chosen_json(response)
        if "headers" in needs:
            view["headers"] = _joined_headers(response.headers)
        if "text" in needs:
            view["text"] = media_of(response.header(b"content-type")).text(response.body)
        if "base64" in needs:
            view["base64"] = base64.b64encode(response.body).decode()
        return view


def compile_answer(tool: Tool, values: Mapping[str, Any]) -> AnswerPlan:
    """Raises TemplateError for an answer that can never be shaped."""
    answer, bound = tool.response, {"values": values}
    if answer.content is not None:
        return AnswerPlan(tool, compile_value(answer.content, ROOTS, bound), blocks=True)
    if "body" in answer.model_fields_set and answer.body is not None:
        whole = is_whole(answer.body)
        template = (
            compile_value(answer.body, ROOTS, bound) if whole else compile_text(answer.body, ROOTS, "text", bound)
        )
        return AnswerPlan(tool, template, blocks=False)
    return AnswerPlan(tool, None, blocks=False)


class _Output:
    """The output schema. It never leads out of itself: whatever it refers to elsewhere is refused, not fetched."""

    def __init__(self, schema: dict[str, Any]) -> None:
        self._validator = jsonschema_rs.validator_for(schema, retriever=_refuse)

    def problem(self, structured: bytes | None) -> str | None:
        if structured is None:
            return "there is no JSON in it"
        value = _decoded(structured)
        if self._validator.is_valid(value):
            return None
        error = next(iter(self._validator.iter_errors(value)))
        where = "/".join(str(part) for part in error.instance_path)
        return f"at {where or 'the top'}, {error.message[:300]}"


def _refuse(uri: str) -> Any:
    raise ValueError("references lead nowhere but into the schema itself")


def _refused(response: Response) -> Shaped:
    status, line = response.status, _status_line(response.status)
    location = (response.header(b"location") or b"").decode("latin-1")
    if status < 400 and location:
        return failure(f"{line}: the upstream redirects{_target(location)}, and redirects are not followed.", status)
    media = media_of(response.header(b"content-type"))
    body = response.body[: MAX_ERROR_TEXT * 4]
    text = media.text(body) if media.kind in ("json", "text") else _plain_text(body)
    if text is None:
        text = f"({len(response.body)} bytes of {media.mime_type})"
    if len(text) > MAX_ERROR_TEXT:
        text = text[:MAX_ERROR_TEXT] + "…"
    return failure(f"{line}\n{text}" if text else line, status)


def _target(location: str) -> str:
    """The origin that a redirect leads to; the rest of it may carry somebody's token."""
    try:
        parts = urlsplit(location)
        host, port = parts.hostname, parts.port
    except ValueError:
        return ""
    if not host:
        return " within its own origin"
    return f" to {parts.scheme or 'https'}://{host}{f':{port}' if port else ''}"


def _status_line(status: int) -> str:
    try:
        return f"HTTP {status} {HTTPStatus(status).phrase}"
    except ValueError:
        return f"HTTP {status}"


def _one_line(body: bytes) -> bytes:
    """JSON without line ends, which event streams could not carry; numbers and texts stay as they are written."""
    if b"\n" in body or b"\r" in body:
        return msgspec.json.format(body, indent=-1)
    return body.strip()


def _is_json(body: bytes) -> bool:
    try:
        _check(body)
        body.decode()
    except _NOT_JSON:
        return False
    return True


def _decoded(body: bytes) -> Any:
    try:
        return _decode(body)
    except _NOT_JSON:
        raise RenderError("it is not JSON") from None


def _json_of(response: Response) -> Any:
    try:
        return _decode(response.body.removeprefix(BOM_UTF8))
    except _NOT_JSON:
        kind = media_of(response.header(b"content-type")).mime_type
        raise RenderError(f"it is not JSON (HTTP {response.status}, {kind}, {len(response.body)} bytes)") from None


def _plain_text(body: bytes) -> str | None:
    """The body as text if it can be nothing else but text."""
    try:
        text = body.decode()
    except UnicodeDecodeError:
        return None
    return None if "\0" in text else text


def _joined_headers(headers: list[tuple[bytes, bytes]]) -> dict[str, str]:
    found: dict[str, str] = {}
    for raw_name, raw_value in headers:
        name, value = raw_name.decode("latin-1").lower(), raw_value.decode("latin-1")
        found[name] = f"{found[name]}, {value}" if name in found else value
    return found


def _completed(block: Any) -> Any:
    """A content block whose texts are text, whatever type the value has that a template put there."""
    kind = block.get("type")
    if kind == "text":
        return {**block, "text": _text(block.get("text"))}
    if kind in ("image", "audio"):
        return {**block, "data": _text(block.get("data"))}
    if kind == "resource" and isinstance(resource := block.get("resource"), dict):
        texts = {key: _text(resource[key]) for key in ("text", "blob", "uri") if key in resource}
        return {**block, "resource": {**resource, **texts}}
    return block


def _text(value: Any) -> str:
    return "" if value is None else text_of(weigh(fuelled({}), value))
