"""Text → plain value and positions, or problems. Never raises, whatever the text.

A source whose name ends with .json is read as JSON, everything else as YAML 1.2 (of which JSON is nearly a part).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from portico.config.build import MAX_BYTES, Builder, Stop
from portico.config.json_text import read_json
from portico.config.positions import Mark, Node, Positions
from portico.config.problem import Problem, Severity
from portico.config.yaml_text import mark_at, read_yaml

_SURROGATE = re.compile("[\ud800-\udfff]")
_UTF16 = (b"\xff\xfe", b"\xfe\xff")


@dataclass(frozen=True, slots=True)
class Loaded:
    """`readable` is False when the text ended in a problem and `value` says nothing."""

    value: Any
    positions: Positions
    problems: tuple[Problem, ...]
    readable: bool


def load(text: str | bytes, source: str) -> Loaded:
    """Read one document's text. Limits: 1 MiB, 50 levels, 50 aliases that expand to 1 MiB at most."""
    builder = Builder(source)
    plain = ""
    try:
        plain = _decode(text, builder)
        (read_json if source.endswith(".json") else read_yaml)(plain, builder)
        if builder.root is None:
            raise builder.stop(
                "empty", Mark(0, 0, 0), "the document is empty", "Write at least `version: 1` and `name:`"
            )
    except Stop as stop:
        return Loaded(None, Positions(plain, Node(Mark(0, 0, 0))), (*builder.problems, stop.problem), False)
    return Loaded(builder.value, Positions(plain, builder.root), tuple(builder.problems), True)


def _decode(text: str | bytes, builder: Builder) -> str:
    start = Mark(0, 0, 0)
    if len(text) > MAX_BYTES or (isinstance(text, str) and len(text.encode("utf-8", "surrogatepass")) > MAX_BYTES):
        raise builder.stop("too-large", start, "the document is larger than 1 MiB", "Split it into several documents")
    plain = text if isinstance(text, str) else _utf8(text, builder)
    odd = _SURROGATE.search(plain)
    if odd is not None:
        raise builder.stop(
            "not-utf-8", mark_at(plain, odd.start()), "the text holds half a character", "Save the text as UTF-8"
        )
    if plain.startswith("\ufeff"):
        builder.report(
            "byte-order-mark",
            start,
            "the text begins with a byte order mark, which is ignored",
            "Save it as UTF-8 without a byte order mark",
            Severity.WARNING,
        )
        plain = plain[1:]
    return plain


def _utf8(text: bytes, builder: Builder) -> str:
    if text.startswith(_UTF16):
        raise builder.stop("not-utf-8", Mark(0, 0, 0), "the text is UTF-16", "Save the text as UTF-8")
    try:
        return text.decode("utf-8")
    except UnicodeDecodeError as error:
        before = text[: error.start].decode("utf-8", "replace")
        raise builder.stop(
            "not-utf-8", mark_at(before, len(before)), "the text is not UTF-8 from here on", "Save the text as UTF-8"
        ) from None
