"""Reads strict JSON (RFC 8259) with positions.

libyaml would read most of it, but not surrogate escapes, keys above 1,024 characters or keys on another line than
their colon; and a file that is called .json should be JSON.
"""

from __future__ import annotations

import json
import re

from portico.config.build import Builder
from portico.config.positions import Mark
from portico.config.problem import quoted
from portico.config.scalars import NotANumber, plain_scalar

_TOKEN = re.compile(
    r"(?P<space>[ \t\r]++)|(?P<line>\n)|(?P<mark>[\[\]{}:,])|(?P<word>true\b|false\b|null\b)"
    r'|(?P<text>"(?:[^"\\\x00-\x1f]++|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*+")'
    r"|(?P<number>-?(?:0|[1-9][0-9]*+)(?:\.[0-9]++)?(?:[eE][-+]?[0-9]++)?)(?![0-9A-Za-z_.])"
)
_WORDS = {"true": True, "false": False, "null": None}
_SURROGATE = re.compile("[\ud800-\udfff]")
_MENDS = {
    "a value": "Write an object, a list, text in double quotes, a number, true, false or null",
    "a key": "Write text in double quotes, then a colon; remove a comma before the closing brace",
    ":": "Put a colon between the key and its value",
    ", or the end": "Put a comma between the entries, or close the bracket",
    "the end": "Remove what follows the value; the file holds one",
}


def read_json(text: str, builder: Builder) -> None:
    """Feed the builder. Raises Stop."""
    _Reader(text, builder).read()


class _Reader:
    def __init__(self, text: str, builder: Builder) -> None:
        self.text = text
        self.builder = builder
        self.closers: list[str] = []
        self.expected = "a value"
        self.empty = False
        self.index = 0
        self.line = 0
        self.line_start = 0

    def read(self) -> None:
        while self.index < len(self.text):
            match = _TOKEN.match(self.text, self.index)
            if match is None:
                raise self._unexpected()
            kind, token = match.lastgroup or "", match[0]
            if kind == "line":
                self.line, self.line_start = self.line + 1, match.end()
            elif kind != "space":
                self._token(kind, token)
            self.index = match.end()
        if self.expected != "the end":
            raise self._unexpected()

    def _token(self, kind: str, token: str) -> None:
        if self.closers and token == self.closers[-1] and (self.empty or self.expected == ", or the end"):
            self.closers.pop()
            self.builder.close()
            self._done()
        elif self.expected == "a key" and kind == "text":
            self.builder.key(self._string(token), self._mark())
            self.expected, self.empty = ":", False
        elif self.expected == ":" and token == ":":
            self.expected = "a value"
        elif self.expected == ", or the end" and token == ",":
            self.expected = "a key" if self.closers[-1] == "}" else "a value"
        elif self.expected == "a value" and token in ("{", "["):
            self.builder.open(dict if token == "{" else list, self._mark(), flow=True)
            self.closers.append("}" if token == "{" else "]")
            self.expected, self.empty = ("a key" if token == "{" else "a value"), True
        elif self.expected == "a value" and kind in ("text", "word", "number"):
            self._scalar(kind, token)
            self._done()
        else:
            raise self._unexpected()

    def _done(self) -> None:
        self.expected, self.empty = (", or the end" if self.closers else "the end"), False

    def _scalar(self, kind: str, token: str) -> None:
        mark = self._mark()
        if kind == "text":
            text = self._string(token)
            self.builder.scalar(text, mark, text, '"')
        else:
            self.builder.scalar(_WORDS[token] if kind == "word" else self._number(token), mark, token, None)

    def _number(self, token: str) -> object:
        try:
            return plain_scalar(token)
        except NotANumber as error:
            self.builder.report(
                "number-out-of-range",
                self._mark(),
                f"{quoted(token)} is not usable: {error}",
                "Quote it to make it text",
            )
            return 0

    def _string(self, token: str) -> str:
        text = json.loads(token)
        if _SURROGATE.search(text):
            raise self.builder.stop(
                "lone-surrogate",
                self._mark(),
                "the text holds half a character (a lone \\ud800 to \\udfff escape)",
                "Write the whole character, or both halves",
            )
        return text

    def _mark(self) -> Mark:
        return Mark(self.line, self.index - self.line_start, self.index)

    def _unexpected(self) -> Exception:
        found = self.text[self.index : self.index + 1]
        what = quoted(found) if found else "the end of the file"
        return self.builder.stop(
            "syntax",
            self._mark(),
            f"the JSON is broken: {what} stands where {self.expected.removeprefix(', or ')} is expected"
            if self.expected != ", or the end"
            else f"the JSON is broken: {what} stands where a comma or the closing bracket is expected",
            _MENDS[self.expected],
        )
