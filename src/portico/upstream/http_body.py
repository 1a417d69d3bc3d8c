"""The body of a request: JSON, a form, multipart or a text, from arguments or from templates."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal

import msgspec

from portico.config.document import Argument, Request, Tool
from portico.template import RenderError, Template, compile_text, compile_value
from portico.template import encode as places
from portico.template.filters import encoded
from portico.upstream.multipart import Field, argument_field, is_whole, part_field, render_multipart

Scope = dict[str, Any]
Render = Callable[[Scope], tuple[bytes | None, bytes]]  # The Content-Type, None where the document sets it; the body.
Compile = Callable[..., Template]

_encode = msgspec.json.Encoder().encode
_WITH_BODY = frozenset({"POST", "PUT", "PATCH", "DELETE"})


class Body:
    """`render` is None where there is none. `reads` are what its templates read."""

    def __init__(self, render: Render | None, templates: list[Template]) -> None:
        self.render = render
        self.reads: frozenset[tuple[str, ...]] = frozenset().union(*(template.reads for template in templates))


def compile_body(tool: Tool, compiled: Compile, read_elsewhere: frozenset[str]) -> Body:
    """`compiled` compiles with the request's roots and values; `read_elsewhere` are arguments that others read."""
    request = tool.request
    args = tool.args or []
    by_position = {place: [arg for arg in args if arg.position == place] for place in ("body", "form", "multipart")}
    if is_multipart(tool):
        return _multipart(request, by_position, compiled)
    if request.form is not None or by_position["form"]:
        return _form(request, [*by_position["body"], *by_position["form"]], compiled)
    if "body" in request.model_fields_set and request.body is not None:
        return _written(request, compiled)
    if by_position["body"]:
        return Body(_json_of_arguments(by_position["body"]), [])
    if tool.input_schema is not None and request.method in _WITH_BODY:
        return Body(_json_of_rest(read_elsewhere), [])
    return Body(None, [])


def is_multipart(tool: Tool) -> bool:
    return tool.request.multipart is not None or any(arg.position == "multipart" for arg in tool.args or [])


def content_type_of(request: Request) -> str:
    """What the document sets, or JSON."""
    found = [value for name, value in request.headers.items() if name.lower() == "content-type"]
    return found[0].lower() if found else "application/json"


def text_encoding(request: Request) -> Literal["json", "xml", "form", "text"]:
    """How values are encoded in a body that is a text template."""
    kind = content_type_of(request)
    if "json" in kind:
        return "json"
    if "xml" in kind or "html" in kind:
        return "xml"
    return "form" if "x-www-form-urlencoded" in kind else "text"


def _json(value: Any) -> bytes:
    try:
        return _encode(value)
    except (UnicodeEncodeError, RecursionError):
        raise RenderError("the arguments cannot be written as JSON") from None


def _json_of_arguments(args: list[Argument]) -> Render:
    names = [(arg.name, arg.send_as or arg.name) for arg in args]

    def render(scope: Scope) -> tuple[bytes, bytes]:
        given = scope["args"]
        return b"application/json", _json({sent: given[name] for name, sent in names if name in given})

    return render


def _json_of_rest(used: frozenset[str]) -> Render:
    def render(scope: Scope) -> tuple[bytes, bytes]:
        return b"application/json", _json({name: value for name, value in scope["args"].items() if name not in used})

    return render


def _written(request: Request, compiled: Compile) -> Body:
    encoding = text_encoding(request)
    if encoding == "json" and is_whole(request.body):
        template = compiled(compile_value, request.body)
        value = template.render
        return Body(lambda scope: (b"application/json", _json(value(scope))), [template])
    if not isinstance(request.body, str):
        template = compiled(compile_value, request.body)
        value = template.render
        written = (
            (lambda scope: _form_text(value(scope))) if encoding == "form" else (lambda scope: _json(value(scope)))
        )
        return Body(lambda scope: (None, written(scope)), [template])
    template = compiled(compile_text, request.body, encoding)
    text = template.render
    content_type = b"application/json" if encoding == "json" else None
    return Body(lambda scope: (content_type, encoded(text(scope))), [template])


def _form_text(value: Any) -> bytes:
    if not isinstance(value, Mapping):
        raise RenderError("a form's body must be an object")
    return "&".join(
        [pair for key, item in value.items() if (pair := places.pairs(places.component(key), item))]
    ).encode()


def _form(request: Request, args: list[Argument], compiled: Compile) -> Body:
    templates = [
        (places.component(name), compiled(compile_value, value)) for name, value in (request.form or {}).items()
    ]
    written = [(name, template.render) for name, template in templates]
    given = [(arg.name, places.component(arg.send_as or arg.name), arg.explode) for arg in args]

    def render(scope: Scope) -> tuple[bytes, bytes]:
        arguments = scope["args"]
        pairs = [places.pairs(name, value(scope)) for name, value in written]
        pairs += [places.pairs(sent, arguments[name], explode) for name, sent, explode in given if name in arguments]
        return b"application/x-www-form-urlencoded", "&".join([pair for pair in pairs if pair]).encode()

    return Body(render, [template for _, template in templates])


def _multipart(request: Request, by_position: dict[str, list[Argument]], compiled: Compile) -> Body:
    """Body and form arguments beside files become fields of the same body."""
    fields: list[Field] = []
    templates: list[Template] = []
    for name, part in (request.multipart or {}).items():
        field, read = part_field(name, part, compiled)
        fields.append(field)
        templates += read
    fields += [argument_field(arg) for args in by_position.values() for arg in args]
    return Body(lambda scope: render_multipart(fields, scope), templates)
