"""The header lines of a tool's request, Cookie included."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from portico import __version__
from portico.config.document import Argument, Request, Tool
from portico.template import RenderError, Template, TemplateError, compile_header
from portico.template import encode as places

Scope = dict[str, Any]

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+").fullmatch
_CONNECTION = frozenset(
    (
        "connection",
        "content-length",
        "expect",
        "host",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    )
)
_STANDARD = {
    "User-Agent": f"portico/{__version__}",
    "Accept": "application/json, */*;q=0.9",
    "Accept-Encoding": "gzip, br, zstd, deflate",
}


class Headers:
    """Header lines: those that are the same in every call, and those that a call writes."""

    def __init__(self, tool: Tool, compiled: Callable[..., Template], *, multipart: bool) -> None:
        request, args = tool.request, tool.args or []
        self.fixed = ""
        self.late: list[Callable[[Scope], str]] = []
        self.names = {name.lower() for name in request.headers}
        self.reads: frozenset[tuple[str, ...]] = frozenset()
        if multipart:
            # Only the gateway knows the boundary, so that it writes this header itself.
            self.names.discard("content-type")
        for name, source in {**_unset(self.names), **request.headers}.items():
            if not multipart or name.lower() != "content-type":
                self._add(_checked_name(name), compiled(compile_header, source))
        for arg in args:
            sent = arg.send_as or arg.name
            if arg.position == "header" and sent.lower() not in self.names:
                self.late.append(_argument_line(_checked_name(sent), arg.name))
        self._cookies(request, args, compiled)

    def _add(self, name: str, template: Template) -> None:
        self.reads |= template.reads
        value, label = template.render, f"the header {name}"
        if template.constant:
            try:
                self.fixed += _line(name, value({}), label)
                return
            except RenderError as error:
                self.late.append(_raiser(error.message))
                return
        self.late.append(lambda scope: _line(name, value(scope), label))

    def _cookies(self, request: Request, args: list[Argument], compiled: Callable[..., Template]) -> None:
        templates = [(name, compiled(compile_header, source)) for name, source in request.cookies.items()]
        given = [(arg.send_as or arg.name, arg.name) for arg in args if arg.position == "cookie"]
        if not templates and not given:
            return
        if "cookie" in self.names:
            raise TemplateError("there are both cookies and a header Cookie", "write all of them under `cookies`")
        for name in [name for name, _ in [*templates, *given]]:
            if not _TOKEN(name):
                raise TemplateError(f"`{name}` is not a cookie name", "use letters, digits and hyphens")
        self.reads = self.reads.union(*(template.reads for _, template in templates))
        written = [(name, template.render) for name, template in templates]

        def line(scope: Scope) -> str:
            pairs = [(name, value(scope)) for name, value in written]
            arguments = scope["args"]
            pairs += [
                (sent, places.scalar(arguments[name], f"the argument `{name}`"))
                for sent, name in given
                if arguments.get(name) is not None
            ]
            found = [f"{name}={places.cookie(value)}" for name, value in pairs if value is not None]
            return f"Cookie: {'; '.join(found)}\r\n" if found else ""

        self.late.append(line)


def _unset(names: set[str]) -> dict[str, str]:
    return {name: value for name, value in _STANDARD.items() if name.lower() not in names}


def _checked_name(name: str) -> str:
    if not _TOKEN(name):
        raise TemplateError(f"`{name}` is not a header name", "use letters, digits and hyphens")
    if name.lower() in _CONNECTION:
        raise TemplateError(f"the header {name} is the gateway's own", "remove it; the host comes from the URL")
    return name


def _line(name: str, value: str | None, label: str) -> str:
    return "" if value is None else f"{name}: {places.header(value, label).strip(' ')}\r\n"


def _argument_line(name: str, argument: str) -> Callable[[Scope], str]:
    label = f"the argument `{argument}`"

    def line(scope: Scope) -> str:
        value = scope["args"].get(argument)
        return _line(name, None if value is None else places.scalar(value, label), label)

    return line


def _raiser(message: str) -> Callable[[Scope], str]:
    def fail(scope: Scope) -> str:
        raise RenderError(message)

    return fail
