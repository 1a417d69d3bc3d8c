"""Judges JSON Schemas: their keywords, their references (inside the document only), defaults and x-mcp-header."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

from jsonschema_rs import Draft202012Validator, Registry, ValidationError, validator_for

from portico.config.check.draft import Draft
from portico.config.check.effort import too_costly
from portico.config.check.findings import Findings
from portico.config.check.mirrored import judge_mirrored
from portico.config.document import Tool
from portico.config.input_schema import input_schema
from portico.config.positions import Path
from portico.config.problem import quoted
from portico.config.subschemas import KEYWORDS, Subschema, subschemas

DRAFT_2020_12 = "https://json-schema.org/draft/2020-12/schema"
_DIALECT = re.compile(
    r"https://json-schema\.org/draft/(2020-12|2019-09)/schema#?|http://json-schema\.org/draft-0[67]/schema#?"
)
Written = Callable[[Path], Path]
_ROOT = "urn:portico:schema"


def refuse(uri: str, /) -> Any:
    """A retriever that never fetches. Without one the validator opens http and file references by itself."""
    raise ValueError(f"references outside the document are refused: {uri}")


_META = Draft202012Validator({"$ref": DRAFT_2020_12}, retriever=refuse)


def judge_schemas(draft: Draft) -> None:
    for path, tool in draft.tools:
        _Judge(draft.findings, path, tool).judge_input()
        schema = tool.response.output_schema
        if schema is not None:
            where = (*path, "response", "outputSchema")
            _sound(schema, where, draft.findings)
            if schema.get("type") != "object":
                draft.findings.warning(
                    where,
                    "output-schema-not-object",
                    "the outputSchema is not of type object, which clients before 2026-07-28 need",
                    "Write `type: object` and put the value into a property",
                )


class _Judge:
    """One tool's arguments. Paths in the assembled schema are led back to where they were written."""

    def __init__(self, findings: Findings, path: Path, tool: Tool) -> None:
        self.findings, self.path, self.tool = findings, path, tool
        self.args = {arg.name: index for index, arg in enumerate(tool.args or [])}

    def judge_input(self) -> None:
        tool, findings = self.tool, self.findings
        if tool.args is not None and tool.input_schema is not None:
            findings.error(
                (*self.path, "inputSchema"),
                "args-and-input-schema",
                "the tool has both args and an inputSchema",
                "Keep one of the two",
                key=True,
            )
            return
        if tool.input_schema is not None and tool.input_schema.get("type") != "object":
            findings.error(
                (*self.path, "inputSchema"),
                "input-schema-not-object",
                "the inputSchema must be of type object",
                "Write `type: object` at its top",
            )
        schema = input_schema(tool)
        _sound(schema, (*self.path, "inputSchema"), findings, self.written)
        judge_mirrored(schema, findings, self.written)

    def written(self, path: Path) -> Path:
        """Where a place of the input schema stands in the document."""
        if self.tool.input_schema is not None:
            return (*self.path, "inputSchema", *path)
        if len(path) > 1 and path[0] == "properties" and path[1] in self.args:
            return (*self.path, "args", self.args[str(path[1])], *path[2:])
        return (*self.path, "args")


def _sound(schema: dict[str, Any], where: Path, findings: Findings, written: Written | None = None) -> None:
    """Everything that makes a schema unusable, whoever it describes."""
    written = written or (lambda path: (*where, *path))
    before = findings.errors
    inner = list(subschemas(schema))
    for each in inner:
        _references(each, findings, written)
        _keywords(each, findings, written)
    if findings.errors == before:
        for error in _META.iter_errors(schema):
            path = tuple(error.instance_path)
            findings.error(
                written(path),
                "bad-schema",
                f"this is no JSON Schema: {_short(error.message)}",
                "Write the keyword as JSON Schema 2020-12 defines it",
            )
    if findings.errors == before and too_costly(schema):
        findings.error(
            written(()),
            "schema-too-costly",
            "references make this schema too much work to validate by",
            "Refer to each definition fewer times, and keep chains of references short",
        )
    if findings.errors == before:
        _compiles(schema, findings, written)
    if findings.errors == before:
        _defaults(schema, inner, findings, written)


def _references(each: Subschema, findings: Findings, written: Written) -> None:
    for keyword in ("$ref", "$dynamicRef"):
        target = each.schema.get(keyword)
        if isinstance(target, str) and not target.startswith("#"):
            findings.error(
                written((*each.path, keyword)),
                "external-reference",
                f"the reference {quoted(target)} leads out of the document",
                "Write the schema here, or under $defs and refer to it by #/$defs/NAME",
            )
    if each.path and "$id" in each.schema:
        # An inner $id changes what every #/… below it refers to.
        findings.error(
            written((*each.path, "$id")), "nested-id", "an $id within a schema is not supported", "Remove it", key=True
        )
    dialect = each.schema.get("$schema")
    if isinstance(dialect, str) and not _DIALECT.fullmatch(dialect):
        findings.error(
            written((*each.path, "$schema")),
            "unknown-dialect",
            f"the schema language {quoted(dialect)} is not known",
            f"Remove $schema, or write {DRAFT_2020_12}",
        )


def _keywords(each: Subschema, findings: Findings, written: Written) -> None:
    for keyword in each.schema:
        if keyword in KEYWORDS or keyword.startswith("x-"):
            continue
        meant = findings.closest(keyword, KEYWORDS)
        if meant is not None and meant not in each.schema:
            findings.warning(
                written((*each.path, keyword)),
                "unknown-keyword",
                f"{quoted(keyword)} is no keyword of JSON Schema and has no effect",
                f"Did you mean {quoted(meant)}?",
                key=True,
            )


def _compiles(schema: dict[str, Any], findings: Findings, written: Written) -> None:
    try:
        validator_for(schema, retriever=refuse, validate_formats=True)
    except ValidationError as error:
        path = tuple(error.instance_path) or _place_of(schema, error.message)
        findings.error(
            written(path),
            "bad-schema",
            f"this schema cannot be used: {_short(error.message)}",
            "Refer only to what is defined in this schema, and write patterns as regular expressions",
        )


def _place_of(schema: dict[str, Any], message: str) -> Path:
    """An unresolved reference comes without a path: find it by what the message names."""
    for each in subschemas(schema):
        for keyword in ("$ref", "$dynamicRef"):
            target = each.schema.get(keyword)
            if isinstance(target, str) and target.lstrip("#") and f"'{target.lstrip('#')}'" in message:
                return (*each.path, keyword)
    return ()


def _defaults(schema: dict[str, Any], inner: list[Subschema], findings: Findings, written: Written) -> None:
    if not any("default" in each.schema for each in inner):
        return
    registry = Registry([(_ROOT, schema)])
    for each in inner:
        if "default" not in each.schema:
            continue
        pointer = "".join("/" + _escaped(str(part)) for part in each.path)
        validator = Draft202012Validator(
            {"$ref": f"{_ROOT}#{pointer}"}, registry=registry, retriever=refuse, validate_formats=True
        )
        error = next(iter(validator.iter_errors(each.schema["default"])), None)
        if error is not None:
            findings.error(
                written((*each.path, "default")),
                "bad-default",
                f"the default does not satisfy its own schema: {_short(error.message)}",
                "Change the default or the schema",
            )


def _escaped(part: str) -> str:
    return quote(part.replace("~", "~0").replace("/", "~1"), safe="")


def _short(message: str) -> str:
    return message if len(message) <= 160 else message[:159] + "…"
