"""Judges the shape: pydantic's errors in plain words, and what is left of the document to judge further."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from typing import Any, TypeVar, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from portico.config import document
from portico.config.check.findings import Findings
from portico.config.document import Document
from portico.config.positions import Path
from portico.config.problem import quoted

Item = TypeVar("Item", bound=BaseModel)

_KINDS = {
    "string_type": ("text", "Put quotes around it, or write text here"),
    "bool_type": ("true or false", "Write true or false, without quotes"),
    "int_type": ("a whole number", "Write a whole number, without quotes"),
    "float_type": ("a number", "Write a number, or a number with its unit such as 10s"),
    "list_type": ("a list", "Write [ … ] or lines that begin with `- `"),
    "dict_type": ("a mapping", "Write { … } or indented lines of `key: value`"),
    "model_type": ("a mapping", "Write { … } or indented lines of `key: value`"),
}
_PATTERNS = {
    document.NAME: ("illegal-name", "Use lower-case letters, digits and hyphens, 63 at most, beginning with no hyphen"),
    document.TOOL_NAME: ("illegal-tool-name", "Use letters, digits, underscore, hyphen and dot, 128 at most"),
    document.PREFIX: (
        "illegal-prefix",
        "Write a path such as /users: letters, digits and . _ ~ -, no slash at the end",
    ),
}


def parse(raw: Any, findings: Findings) -> Document | None:
    """The document, or None when its shape is wrong; every way in which it is wrong is a finding."""
    try:
        return Document.model_validate(raw, by_alias=True, by_name=False)
    except ValidationError as error:
        for detail in error.errors(include_url=False, include_input=True):
            _translate(detail, raw, findings)
        return None


def salvage(raw: Any, section: str, model: type[Item], findings: Findings) -> Iterator[tuple[Path, Item]]:
    """The entries of a section that can be judged further although other parts of the document are broken."""
    entries = raw.get(section) if isinstance(raw, dict) else None
    for index, entry in enumerate(entries if isinstance(entries, list) else ()):
        item = _lenient(entry, model, findings)
        if item is not None:
            yield (section, index), item


def _lenient(entry: Any, model: type[Item], findings: Findings) -> Item | None:
    try:
        return model.model_validate(entry, by_alias=True, by_name=False)
    except ValidationError as error:
        unknown = [detail["loc"] for detail in error.errors() if detail["type"] == "extra_forbidden"]
    mended = copy.deepcopy(entry)
    for loc in unknown:
        _rename(mended, loc, model, findings)
    try:
        return model.model_validate(mended, by_alias=True, by_name=False)
    except ValidationError:
        return None


def _rename(entry: Any, loc: tuple[str | int, ...], model: type[BaseModel], findings: Findings) -> None:
    """Take a misspelled field for what it was meant to be, so that it does not cause further complaints."""
    parent = entry
    for part in loc[:-1]:
        parent = parent[part]
    value, meant = parent.pop(loc[-1]), findings.closest(str(loc[-1]), _fields(model, loc[:-1]))
    if meant is not None:
        parent.setdefault(meant, value)


def _translate(detail: ErrorDetails, raw: Any, findings: Findings) -> None:
    path, kind, context = detail["loc"], detail["type"], detail.get("ctx", {})
    name = quoted(path[-1]) if path else "the document"
    found = _kind_of(detail["input"])
    if kind == "missing":
        findings.error(path, "missing-field", f"the field {name} is missing", f"Add `{path[-1]}: …` here")
    elif kind == "extra_forbidden":
        mend = findings.suggest(str(path[-1]), _fields(Document, path[:-1]), "Remove it")
        findings.error(path, "unknown-field", f"there is no field {name} here", mend, key=True)
    elif kind in _KINDS:
        wanted, mend = _KINDS[kind]
        if detail["input"] is None:
            mend = "Give it a value, or remove the key"
        findings.error(path, "wrong-type", f"{_at(path)} should be {wanted}, but is {found}", mend)
    elif kind == "literal_error":
        _not_one_of(path, str(context.get("expected", "")), detail["input"], findings)
    elif kind == "string_pattern_mismatch":
        code, mend = _PATTERNS.get(str(context.get("pattern")), ("bad-value", "Write it in the form that is asked for"))
        findings.error(path, code, f"{quoted(detail['input'])} is not allowed as {_at(path)}", mend)
    elif kind == "value_error":
        findings.error(path, "bad-value", f"{_at(path)} is not usable", _sentence(str(context.get("error"))))
    else:
        said = detail["msg"][:1].lower() + detail["msg"][1:]
        findings.error(path, "bad-value", f"{_at(path)} is not usable: {said}", "Write a value within these bounds")


def _not_one_of(path: Path, expected: str, given: Any, findings: Findings) -> None:
    known = [text.strip().strip("'") for text in expected.replace(" or ", ", ").split(",")]
    mend = f"Write one of: {', '.join(known)}" if len(known) > 1 else f"Write {known[0]}"
    close = findings.closest(given, known) if isinstance(given, str) else None
    if close is not None:
        mend = f"Did you mean {quoted(close)}?"
    findings.error(path, "not-one-of", f"{quoted(given)} is not possible as {_at(path)}", mend)


def _fields(model: type[BaseModel], path: Path) -> list[str]:
    """The names that are possible in the mapping at `path`."""
    current: type[BaseModel] | None = model
    for part in path:
        field = _by_alias(current).get(str(part)) if current is not None else None
        if field is not None:
            current = _model_in(field)
    return list(_by_alias(current)) if current is not None else []


def _by_alias(model: type[BaseModel]) -> dict[str, Any]:
    return {field.alias or name: field.annotation for name, field in model.model_fields.items()}


def _model_in(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    found = (_model_in(part) for part in get_args(annotation))
    return next((model for model in found if model is not None), None)


def _at(path: Path) -> str:
    *above, last = path or ("the document",)
    if isinstance(last, int):
        return f"entry {last + 1} of {quoted(above[-1])}" if above else f"entry {last + 1}"
    return quoted(last) if path else last


_WORDS: tuple[tuple[Callable[[Any], bool], str], ...] = (
    (lambda value: value is None, "empty"),
    (lambda value: isinstance(value, bool), "true or false"),
    (lambda value: isinstance(value, int | float), "a number"),
    (lambda value: isinstance(value, str), "text"),
    (lambda value: isinstance(value, list), "a list"),
)


def _kind_of(value: Any) -> str:
    return next((word for test, word in _WORDS if test(value)), "a mapping")


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:]
