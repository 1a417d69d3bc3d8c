"""Judges templates: each is compiled for its place, and what it reads must exist there."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, Protocol

from portico.config.check.draft import Draft
from portico.config.check.leaves import leaves
from portico.config.check.urls import judge_url
from portico.config.document import Prompt, Request, Response, Tool
from portico.config.input_schema import argument_names
from portico.config.positions import Path
from portico.config.problem import quoted
from portico.template import TemplateError, compile_header, compile_text, compile_url, compile_value

REQUEST_ROOTS = frozenset(("args", "values", "secrets", "request", "session"))
RESPONSE_ROOTS = frozenset(("args", "values", "request", "session", "response"))
PROXY_ROOTS = frozenset(("values", "secrets"))
PROMPT_ROOTS = frozenset(("args", "values"))
_CREDENTIALS = frozenset(("authorization", "cookie", "proxy-authorization", "x-api-key"))

Encoding = Literal["json", "xml", "form", "text"]


class Reads(Protocol):
    """What is needed of a compiled template here."""

    @property
    def reads(self) -> frozenset[tuple[str, ...]]: ...


Compile = Callable[[str, frozenset[str]], Reads]


class Templates:
    """All templates of one tool or prompt, and the arguments that they read."""

    def __init__(self, draft: Draft, args: frozenset[str] | None) -> None:
        self.draft, self.args = draft, args
        self.used: set[str] = set()
        self.uses_all = False
        self.in_url: frozenset[str] | None = frozenset()

    def uses(self, name: str) -> bool:
        """Whether a template reads this argument."""
        return self.uses_all or name in self.used

    def judge(self, path: Path, source: str, roots: frozenset[str], compiler: Compile) -> None:
        reads = self._compile(path, source, roots, compiler)
        for read in sorted(reads or ()):
            self._read(path, source, read)

    def url(self, path: Path, source: str) -> None:
        """The URL, whose arguments are remembered: None when they cannot be known."""
        if not judge_url(path, source, self.draft):
            self.uses_all, self.in_url = True, None
            return
        reads = self._compile(path, source, REQUEST_ROOTS, compile_url)
        for read in sorted(reads or ()):
            self._read(path, source, read)
        known = reads is not None and ("args",) not in reads
        self.in_url = frozenset(read[1] for read in reads or () if read[0] == "args" and read[1:]) if known else None

    def _compile(
        self, path: Path, source: str, roots: frozenset[str], compiler: Compile
    ) -> frozenset[tuple[str, ...]] | None:
        try:
            return compiler(source, roots).reads
        except TemplateError as error:
            # What a broken template would have used is not known, so nothing may be called unused.
            self.uses_all = True
            self.draft.findings.error(path, "bad-template", error.message, _sentence(error.mend), offset=error.offset)
            return None

    def tree(self, path: Path, value: Any, roots: frozenset[str]) -> None:
        """Every string of a YAML value, each with a place of its own."""
        for where, source in leaves(value, path):
            self.judge(where, source, roots, compile_value)

    def body(self, path: Path, value: Any, roots: frozenset[str], encoding: Encoding) -> None:
        """A whole text is a text template; anything else is a value."""
        if isinstance(value, str) and not is_one_expression(value):
            self.judge(path, value, roots, lambda source, names: compile_text(source, names, encoding))
        else:
            self.tree(path, value, roots)

    def _read(self, path: Path, source: str, read: tuple[str, ...]) -> None:
        root, rest = read[0], read[1:]
        found = max(source.find(".".join(read[:2])), source.find("{" + read[-1] + "}"))
        offset = found if found >= 0 else None
        if root == "args":
            self._argument(path, rest, offset)
        elif root == "values":
            self._value(path, rest, offset)
        elif root == "secrets":
            self._secret(path, rest, offset)
        elif root == "request":
            self._credential(path, rest, offset)

    def _argument(self, path: Path, rest: tuple[str, ...], offset: int | None) -> None:
        if not rest:
            self.uses_all = True
            return
        self.used.add(rest[0])
        if self.args is not None and rest[0] not in self.args:
            mend = self.draft.findings.suggest(rest[0], self.args, f"Define an argument {quoted(rest[0])}")
            message = f"there is no argument {quoted(rest[0])}"
            self.draft.findings.error(path, "unknown-argument", message, mend, offset=offset)

    def _value(self, path: Path, rest: tuple[str, ...], offset: int | None) -> None:
        within: Any = self.draft.values
        for depth, name in enumerate(rest):
            if not isinstance(within, dict):
                return
            if name not in within:
                message = f"there is no value {quoted('.'.join(rest[: depth + 1]))}"
                mend = self.draft.findings.suggest(name, within, f"Define {name} under `values`")
                self.draft.findings.error(path, "unknown-value", message, mend, offset=offset)
                return
            within = within[name]

    def _secret(self, path: Path, rest: tuple[str, ...], offset: int | None) -> None:
        secrets = self.draft.secrets
        if rest and secrets is not None and rest[0] not in secrets:
            # The names of other secrets are nobody's business, so there is no suggestion.
            self.draft.findings.warning(
                path,
                "unknown-secret",
                f"there is no secret {quoted(rest[0])}, so every call that needs it fails",
                f"Store a secret of this name, or correct the name {quoted(rest[0])}",
                offset=offset,
            )

    def _credential(self, path: Path, rest: tuple[str, ...], offset: int | None) -> None:
        if rest[:1] == ("cookies",) or (rest[:1] == ("headers",) and rest[-1].lower() in _CREDENTIALS):
            self.draft.findings.warning(
                path,
                "forwards-credential",
                "this passes the caller's own credential on to the upstream",
                "Use a secret, unless the upstream is meant to see what the caller sent to the gateway",
                offset=offset,
            )


def judge_tool_templates(path: Path, tool: Tool, draft: Draft) -> Templates:
    templates = Templates(draft, argument_names(tool))
    _request(templates, (*path, "request"), tool.request)
    _response(templates, (*path, "response"), tool.response)
    return templates


def judge_prompt_templates(path: Path, prompt: Prompt, draft: Draft) -> None:
    templates = Templates(draft, frozenset(argument.name for argument in prompt.arguments))
    for index, message in enumerate(prompt.messages):
        templates.tree((*path, "messages", index, "content"), message.content, PROMPT_ROOTS)


def _request(templates: Templates, path: Path, request: Request) -> None:
    templates.url((*path, "url"), request.url)
    for section, entries in (("headers", request.headers), ("cookies", request.cookies)):
        for name, source in entries.items():
            templates.judge((*path, section, name), source, REQUEST_ROOTS, compile_header)
    templates.tree((*path, "query"), request.query, REQUEST_ROOTS)
    templates.tree((*path, "form"), request.form, REQUEST_ROOTS)
    templates.body((*path, "body"), request.body, REQUEST_ROOTS, body_encoding(request))
    for name, part in (request.multipart or {}).items():
        where = (*path, "multipart", name)
        templates.body((*where, "content"), part.content, REQUEST_ROOTS, "text")
        for field, source in (("filename", part.filename), ("contentType", part.content_type)):
            if source is not None:
                templates.judge((*where, field), source, REQUEST_ROOTS, compile_header)
    if request.proxy is not None:
        templates.judge((*path, "proxy"), request.proxy, PROXY_ROOTS, compile_header)


def _response(templates: Templates, path: Path, response: Response) -> None:
    templates.body((*path, "body"), response.body, RESPONSE_ROOTS, "text")
    templates.tree((*path, "content"), response.content, RESPONSE_ROOTS)


def body_encoding(request: Request) -> Encoding:
    """How values are encoded in a body that is a text template: by the Content-Type that the document sets."""
    content_type = next((value for name, value in request.headers.items() if name.lower() == "content-type"), "json")
    low = content_type.lower()
    if "json" in low:
        return "json"
    if "xml" in low or "html" in low:
        return "xml"
    return "form" if "x-www-form-urlencoded" in low else "text"


def is_one_expression(source: str) -> bool:
    """Whether the string is exactly one expression, and so keeps its value's type."""
    return source.startswith("{{") and source.endswith("}}") and source.count("{{") == 1


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:]
