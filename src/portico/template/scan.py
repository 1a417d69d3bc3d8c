"""Cuts a source into literal text, `{{ expressions }}` and `{% statements %}`, and an expression into tokens."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from portico.template.errors import TemplateError
from portico.template.fuel import MAX_SOURCE

_SURROGATE = re.compile("[\ud800-\udfff]")
_OPENING = re.compile(r"\{\{|\{%|\{#")
_RAW = re.compile(r"\{%-?\s*raw\s*-?%\}")
_END_RAW = re.compile(r"\{%-?\s*endraw\s*-?%\}")
_CLOSING = {"{{": "}}", "{%": "%}"}
_TOKEN = re.compile(
    r"""\s*(?:
        (?P<name>[^\W\d]\w*)
      | (?P<number>\d+(?:\.\d+)?(?:[eE][+-]?\d+)?)
      | (?P<string>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')
      | (?P<sign>\*\*|//|==|!=|<=|>=|[-+*/%~<>=|.,:()\[\]{}])
    )""",
    re.VERBOSE | re.DOTALL,
)


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of a source. `offset` is where its text begins."""

    kind: Literal["literal", "expression", "statement"]
    text: str
    offset: int


@dataclass(frozen=True, slots=True)
class Token:
    kind: str  # name, number, string, sign or end
    text: str
    start: int
    end: int


def scan(source: str) -> list[Piece]:
    if len(source) > MAX_SOURCE:
        raise TemplateError("the template is longer than 64 KiB", "make it shorter")
    if not source.isascii() and (half := _SURROGATE.search(source)):
        raise TemplateError("the template holds half of a surrogate pair", "remove it", half.start())
    pieces: list[Piece] = []
    at, trimmed = 0, False
    while at < len(source):
        opening = _OPENING.search(source, at)
        end = opening.start() if opening else len(source)
        text = source[at:end]
        if trimmed:
            text = text.lstrip()
        if opening and source[opening.end() : opening.end() + 1] == "-":
            text = text.rstrip()
        if text:
            pieces.append(Piece("literal", text, at))
        if opening is None:
            break
        at, trimmed = _enclosed(source, opening, pieces)
    return pieces


def _enclosed(source: str, opening: re.Match[str], pieces: list[Piece]) -> tuple[int, bool]:
    """Add what begins at `opening`; where it ends, and whether the white space after it is to be dropped."""
    raw = _RAW.match(source, opening.start())
    if raw:
        end_raw = _END_RAW.search(source, raw.end())
        if end_raw is None:
            raise TemplateError("`raw` is never closed", "close it with {% endraw %}", raw.start())
        pieces.append(Piece("literal", source[raw.end() : end_raw.start()], raw.end()))
        return end_raw.end(), end_raw[0].endswith("-%}")
    if opening[0] == "{#":
        end = source.find("#}", opening.end())
        if end < 0:
            raise TemplateError("the comment is never closed", "close it with #}", opening.start())
        return end + 2, source[end - 1] == "-"
    closing = _CLOSING[opening[0]]
    end = _closing_at(source, opening.end(), closing)
    if end < 0:
        raise TemplateError(f"`{opening[0]}` is never closed", f"close it with {closing}", opening.start())
    start = opening.end() + (source[opening.end()] == "-")
    trimmed = end > start and source[end - 1] == "-"
    kind = "expression" if opening[0] == "{{" else "statement"
    pieces.append(Piece(kind, source[start : end - trimmed], start))
    return end + 2, trimmed


def _closing_at(source: str, at: int, closing: str) -> int:
    """Where the expression ends: quotes are honoured, and so are the braces of objects inside of it."""
    depth, quote = 0, ""
    while at < len(source):
        character = source[at]
        if quote:
            if character == "\\":
                at += 1
            elif character == quote:
                quote = ""
        elif character in "\"'":
            quote = character
        elif depth == 0 and source.startswith(closing, at):
            return at
        elif character == "{":
            depth += 1
        elif character == "}" and depth:
            depth -= 1
        at += 1
    return -1


def tokens(text: str, offset: int) -> list[Token]:
    found: list[Token] = []
    at, end = 0, len(text.rstrip())
    while at < end:
        match = _TOKEN.match(text, at)
        if match is None or match.lastgroup is None:
            at += len(text[at:]) - len(text[at:].lstrip())
            what = "text that is never closed" if text[at] in "\"'" else f"`{text[at]}`"
            raise TemplateError(f"an expression cannot contain {what}", "see the template language", offset + at)
        kind = match.lastgroup
        found.append(Token(kind, match[kind], offset + match.start(kind), offset + match.end(kind)))
        at = match.end()
    found.append(Token("end", "", offset + len(text), offset + len(text)))
    return found
