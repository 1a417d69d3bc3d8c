"""Reads YAML 1.2 with libyaml's events.

Plain aliases work. Merge keys (`<<`) and tags are problems, since YAML 1.2 has no merge keys and a document needs no
types of its own; only `!` and `!!str`, which say "this is text", are understood.
"""

from __future__ import annotations

import re
from typing import Any

import yaml
from yaml._yaml import CParser

from portico.config.build import Builder, Stop
from portico.config.positions import Mark
from portico.config.problem import Severity, quoted
from portico.config.scalars import NotANumber, plain_scalar

_TEXT_TAGS = ("!", "tag:yaml.org,2002:str")
# YAML forbids the control characters; U+0085, U+2028 and U+2029 are line ends to libyaml but to no editor.
_FORBIDDEN = re.compile("[^\t\n\r\x20-\x7e\xa0-\u2027\u202a-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]")
_LEADING_ZERO = re.compile(r"[-+]?0[0-9]+")

_MENDS = (
    ("found a tab", "Indent with spaces only"),
    ("cannot start any token", "Put quotes around text that begins with this character, or indent with spaces"),
    ("mapping values are not allowed", "Put quotes around text that contains ': ', or mend the indentation"),
    ("could not find expected ':'", "Write `key: value`, or put quotes around text of several lines"),
    ("did not find expected ',' or", "Close the bracket, or put a comma between the entries"),
    ("unexpected end of stream", "Close the quote that was opened here"),
    ("invalid Unicode character escape", "Write the character itself, or \\U and eight hexadecimal digits"),
    ("unknown escape character", "Write \\\\ for a backslash, or use single quotes"),
    ("undefined tag handle", "Remove the tag"),
    ("did not find expected key", "Give the lines of one mapping the same indentation"),
    ("did not find expected '-' indicator", "Give the entries of one list the same indentation"),
    ("did not find expected <document start>", "Keep one value in the file; quote text that begins with * & ! or %"),
)


def read_yaml(text: str, builder: Builder) -> None:
    """Feed the builder. Raises Stop."""
    _refuse_odd_characters(text, builder)
    parser = CParser(text)
    documents = 0
    try:
        while parser.check_event():
            event = parser.get_event()
            if isinstance(event, yaml.DocumentStartEvent):
                documents += 1
                if documents > 1:
                    raise builder.stop(
                        "several-documents",
                        _mark(event.start_mark),
                        "the file holds several YAML documents",
                        "Keep one document per file; remove the `---` line or move what follows into a file of its own",
                    )
            else:
                _feed(event, builder)
    except yaml.YAMLError as error:
        raise _syntax(error, builder) from None


def _feed(event: Any, builder: Builder) -> None:
    if isinstance(event, yaml.ScalarEvent):
        _scalar(event, builder)
    elif isinstance(event, yaml.MappingStartEvent | yaml.SequenceStartEvent):
        mark = _mark(event.start_mark)
        if event.tag is not None:
            _tag(event.tag, mark, builder)
        kind = dict if isinstance(event, yaml.MappingStartEvent) else list
        builder.open(kind, mark, event.anchor, bool(event.flow_style))
    elif isinstance(event, yaml.MappingEndEvent | yaml.SequenceEndEvent):
        builder.close()
    elif isinstance(event, yaml.AliasEvent):
        builder.alias(str(event.anchor), _mark(event.start_mark))


def _scalar(event: yaml.ScalarEvent, builder: Builder) -> None:
    mark, text = _mark(event.start_mark), str(event.value)
    style = event.style or None
    if event.tag is not None and event.tag not in _TEXT_TAGS:
        _tag(event.tag, mark, builder)
    plain = style is None and event.tag is None
    if builder.wants_key:
        _key(text, mark, plain, builder)
    else:
        value = _plain(text, mark, builder) if plain else text
        builder.scalar(value, mark, text, style, event.anchor)


def _key(text: str, mark: Mark, plain: bool, builder: Builder) -> None:
    if plain and text == "<<":
        raise builder.stop(
            "merge-key",
            mark,
            "merge keys (<<) are not supported",
            "Write the keys out, or repeat a whole value by an alias",
        )
    if plain and text in ("", "~", "null"):
        builder.report("key-not-text", mark, "a key is empty", "Give the value a name, or quote the key")
    # A key is the text that was written: `200:` and "200": are the same key, as in JSON.
    builder.key(text, mark)


def _plain(text: str, mark: Mark, builder: Builder) -> Any:
    if len(text) > 1 and text[0] in "+-0" and _LEADING_ZERO.fullmatch(text):
        builder.report(
            "leading-zeros",
            mark,
            f"{quoted(text)} is read as a number and loses its leading zeros",
            "Put quotes around it if it is text, or remove the zeros",
            Severity.WARNING,
        )
    try:
        return plain_scalar(text)
    except NotANumber as error:
        builder.report(
            "number-out-of-range", mark, f"{quoted(text)} is not usable: {error}", "Quote it to make it text"
        )
        return 0


def _tag(tag: str, mark: Mark, builder: Builder) -> None:
    builder.report(
        "tag", mark, f"the tag {quoted(tag)} is not supported", "Remove the tag; quote a value to make it text"
    )


def _refuse_odd_characters(text: str, builder: Builder) -> None:
    odd = _FORBIDDEN.search(text)
    if odd is None:
        return
    raise builder.stop(
        "forbidden-character",
        mark_at(text, odd.start()),
        f"the character U+{ord(odd[0]):04X} may not stand in YAML",
        f'Remove it, or write it in double quotes as "\\U{ord(odd[0]):08X}"',
    )


def _syntax(error: yaml.YAMLError, builder: Builder) -> Stop:
    said = str(getattr(error, "problem", None) or getattr(error, "reason", None) or "the text cannot be read")
    context = getattr(error, "context_mark", None)
    # What was never closed is best shown where it began.
    at = context if context is not None and ("end of stream" in said or "expected ':'" in said) else None
    at = at or getattr(error, "problem_mark", None) or context
    mend = next((mend for part, mend in _MENDS if part in said), "Mend the YAML at this place")
    return builder.stop("syntax", _mark(at) if at is not None else Mark(0, 0, 0), f"the YAML is broken: {said}", mend)


def _mark(mark: Any) -> Mark:
    return Mark(mark.line, mark.column, mark.index)


def mark_at(text: str, index: int) -> Mark:
    """The place of a character."""
    line = text.count("\n", 0, index)
    return Mark(line, index - (text.rfind("\n", 0, index) + 1), index)
