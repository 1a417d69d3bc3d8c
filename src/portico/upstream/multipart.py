"""multipart/form-data (RFC 7578), built part by part: nothing in a name, a type or a content can end its part."""

from __future__ import annotations

import base64
import binascii
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from portico.config.document import Argument, Part
from portico.template import MISSING, RenderError, Template, compile_header, compile_text, compile_value
from portico.template import encode as places
from portico.template.filters import encoded
from portico.template.value import json_of, text_of

# As browsers write it (HTML, "multipart form data"): these four would end the quoted name.
_NAME_ESCAPES = {code: f"%{code:02X}" for code in (*range(32), 0x22, 0x7F)}

Compile = Callable[..., Template]


@dataclass(frozen=True, slots=True)
class Field:
    """One field: where its value comes from and how it is written."""

    name: str
    value: Callable[[dict[str, Any]], Any]
    filename: Template | None = None
    content_type: Template | None = None
    base64: bool = False

    def parts(self, scope: dict[str, Any]) -> list[tuple[bytes, bytes]]:
        """Head and content of each part: none for a value that is not there, one for each item of a list."""
        value = self.value(scope)
        if value is MISSING or value is None:
            return []
        return [self._part(item, scope) for item in (value if isinstance(value, list) else [value])]

    def _part(self, value: Any, scope: dict[str, Any]) -> tuple[bytes, bytes]:
        filename = self.filename.render(scope) if self.filename else None
        content_type = self.content_type.render(scope) if self.content_type else None
        head = f'Content-Disposition: form-data; name="{_quoted(self.name)}"'
        if filename is not None:
            head += f'; filename="{_quoted(filename)}"'
        if content_type is None and isinstance(value, list | dict):
            content_type = "application/json"
        if content_type is not None:
            head += "\r\nContent-Type: " + places.header(content_type, "the part's content type")
        return encoded(head), self._content(value)

    def _content(self, value: Any) -> bytes:
        if not self.base64:
            return encoded(json_of(value) if isinstance(value, list | dict) else text_of(value))
        try:
            return base64.b64decode("".join(text_of(value).split()), validate=True)
        except (binascii.Error, ValueError):
            raise RenderError(f"the file `{self.name}` is not base64") from None


def _quoted(name: str) -> str:
    return name.translate(_NAME_ESCAPES)


def render_multipart(fields: list[Field], scope: dict[str, Any]) -> tuple[bytes, bytes]:
    """The Content-Type and the body."""
    parts = [part for field in fields for part in field.parts(scope)]
    boundary = secrets.token_hex(16).encode()
    while any(boundary in content or boundary in head for head, content in parts):
        boundary = secrets.token_hex(16).encode()
    body = b"".join([b"--%b\r\n%b\r\n\r\n%b\r\n" % (boundary, head, content) for head, content in parts])
    return b"multipart/form-data; boundary=" + boundary, b"%b--%b--\r\n" % (body, boundary)


def argument_field(arg: Argument) -> Field:
    """`contentEncoding: base64` makes it a file, which is sent as the bytes that it encodes."""
    schema = arg.schema_keywords()
    if isinstance(schema.get("items"), dict) and schema.get("type") == "array":
        schema = schema["items"]
    name, sent = arg.name, arg.send_as or arg.name
    is_file = schema.get("contentEncoding") == "base64"
    media = schema.get("contentMediaType")
    if not isinstance(media, str):
        media = "application/octet-stream" if is_file else None
    return Field(
        name=sent,
        value=lambda scope: scope["args"].get(name),
        filename=_constant(sent) if is_file or media else None,
        content_type=_constant(media) if media else None,
        base64=is_file,
    )


def _constant(text: str) -> Template:
    return Template(frozenset(), lambda context: text, True)


def part_field(name: str, part: Part, compiled: Compile) -> tuple[Field, list[Template]]:
    """A part of `request.multipart`; `compiled` compiles with the roots and values of the request."""
    content = part.content
    template = compiled(compile_value if is_whole(content) else compile_text, content)
    filename = compiled(compile_header, part.filename) if part.filename is not None else None
    content_type = compiled(compile_header, part.content_type) if part.content_type is not None else None
    field = Field(name, template.render, filename, content_type, part.base64)
    return field, [found for found in (template, filename, content_type) if found]


def is_whole(value: Any) -> bool:
    """Whether it keeps its value's type: a tree, or exactly one expression."""
    if not isinstance(value, str):
        return True
    text = value.strip()
    return text.startswith("{{") and text.endswith("}}") and text.count("{{") == 1
