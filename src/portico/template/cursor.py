"""A place in a row of tokens, and what the tokens of literals stand for."""

from __future__ import annotations

from typing import Any

from portico.template.errors import TemplateError
from portico.template.scan import Token

MAX_TOKENS = 4_000

LANGUAGE = "the language has paths, operators, filters, tests, `if … else …`, and range()"
CONSTANTS = {"true": True, "True": True, "false": False, "False": False, "none": None, "None": None, "null": None}
KEYWORDS = frozenset({"and", "or", "not", "in", "is", "if", "else", "recursive"})
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f", "0": "\0"}


class Cursor:
    def __init__(self, found: list[Token]) -> None:
        if len(found) > MAX_TOKENS:
            raise TemplateError(f"an expression has more than {MAX_TOKENS} words", "make it simpler", found[0].start)
        self.tokens = found
        self.at = 0

    @property
    def token(self) -> Token:
        return self.tokens[self.at]

    def take(self) -> Token:
        token = self.tokens[self.at]
        self.at += token.kind != "end"
        return token

    def accept(self, *texts: str) -> Token | None:
        token = self.tokens[self.at]
        return self.take() if token.text in texts and token.kind in ("sign", "name") else None

    def expect(self, text: str) -> Token:
        return self.accept(text) or self.refuse(f"`{text}`")

    def name(self) -> Token:
        token = self.take()
        if token.kind != "name" or token.text in KEYWORDS or token.text in CONSTANTS:
            self.at -= token.kind != "end"
            self.refuse("a name")
        return token

    def finish(self) -> None:
        if self.token.kind != "end":
            self.refuse("the end of the expression")

    def refuse(self, wanted: str) -> Any:
        got = f"`{self.token.text}`" if self.token.kind != "end" else "nothing more"
        raise TemplateError(f"{wanted} was expected, but there is {got}", LANGUAGE, self.token.start)


def number(token: Token) -> Any:
    if len(token.text) > 40:
        raise TemplateError("a number is written too long", "use at most 40 characters", token.start)
    return int(token.text) if token.text.isdigit() else float(token.text)


def unquoted(token: Token) -> str:
    body, out, at = token.text[1:-1], [], 0
    while (slash := body.find("\\", at)) >= 0:
        out.append(body[at:slash])
        escaped = body[slash + 1]
        if escaped == "u" and len(digits := body[slash + 2 : slash + 6]) == 4:
            try:
                out.append(bytes.fromhex(digits).decode("utf-16-be"))
            except ValueError:
                raise TemplateError(
                    "`\\u` needs four hexadecimal digits that are a character", "write \\u00e9", token.start
                ) from None
            at = slash + 6
            continue
        out.append(_ESCAPES.get(escaped, escaped))
        at = slash + 2
    return "".join([*out, body[at:]])
