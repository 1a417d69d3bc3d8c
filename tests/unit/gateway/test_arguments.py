"""A tool's input schema, compiled: reasons, defaults, texts as values, and mirrored headers."""

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portico.gateway.routing.catalog import HeaderMirror
from portico.gateway.runtime.arguments import compile_arguments

SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "minLength": 2, "default": "Ada", "x-mcp-header": "Name"},
        "age": {"type": "integer", "minimum": 0},
        "ratio": {"type": ["number", "null"]},
        "active": {"type": "boolean", "default": False},
        "mail": {"type": "string", "format": "email"},
        "address": {
            "type": "object",
            "properties": {
                "city": {"type": "string", "default": "London", "x-mcp-header": "City"},
                "lines": {"type": "array", "items": {"properties": {"a": {"x-mcp-header": "Never"}}}},
            },
        },
        "tags": {"type": "array", "default": []},
    },
    "additionalProperties": False,
}
ARGUMENTS = compile_arguments(SCHEMA)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**60), 2**60) | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
GIVEN = st.dictionaries(st.sampled_from([*SCHEMA["properties"], "stranger"]), JSON, max_size=6)


@given(GIVEN)
def test_whatever_does_not_fit_has_a_reason_and_what_fits_is_valid(arguments: dict[str, Any]) -> None:
    assert ARGUMENTS.is_valid(arguments) in (True, False)
    assert 0 < len(ARGUMENTS.explain(arguments)) < 5000


@given(GIVEN)
def test_filling_adds_defaults_and_changes_nothing_that_was_given(arguments: dict[str, Any]) -> None:
    assert ARGUMENTS.fill is not None
    before = copy.deepcopy(arguments)
    filled = ARGUMENTS.fill(arguments)
    assert arguments == before
    for name in arguments.keys() - {"address"}:
        assert filled[name] is arguments[name]
    assert filled.keys() == arguments.keys() | {"name", "active", "tags"}
    if isinstance(before.get("address"), dict):
        assert filled["address"] == {"city": "London", **before["address"]}
    assert ARGUMENTS.fill(filled) == filled


def test_a_default_that_one_call_changes_is_not_changed_for_the_next() -> None:
    assert ARGUMENTS.fill is not None
    first = ARGUMENTS.fill({})
    assert first["tags"] == []
    assert SCHEMA["properties"]["tags"]["default"] == []


def test_a_schema_without_defaults_needs_no_filling() -> None:
    assert compile_arguments({"type": "object", "properties": {"a": {"type": "string"}}}).fill is None


@given(st.dictionaries(st.sampled_from([*SCHEMA["properties"], "stranger"]), st.text()))
def test_texts_of_a_uri_become_what_their_schema_wants_or_stay_texts(texts: dict[str, str]) -> None:
    values = ARGUMENTS.coerce(texts)
    assert values.keys() == texts.keys()
    for name, value in values.items():
        assert value == texts[name] or type(value) in (int, float, bool)
        if name in ("name", "mail", "stranger"):
            assert value == texts[name]


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("age", "42", 42),
        ("age", "-7", -7),
        ("age", "4.5", "4.5"),
        ("age", "1_0", "1_0"),
        ("age", " 1", " 1"),
        ("age", "٣", "٣"),
        ("age", "9" * 5000, "9" * 5000),
        ("ratio", "0.5", 0.5),
        ("ratio", "nan", "nan"),
        ("ratio", "inf", "inf"),
        ("ratio", "1_0.5", "1_0.5"),
        ("active", "true", True),
        ("active", "True", "True"),
        ("name", "42", "42"),
    ],
)
def test_a_text_is_read_as_json_would_have_it(name: str, text: str, value: object) -> None:
    read = ARGUMENTS.coerce({name: text})[name]
    assert (read, type(read)) == (value, type(value))


def test_mirrors_are_found_along_properties_alone() -> None:
    assert ARGUMENTS.mirrors == (
        HeaderMirror(b"mcp-param-name", ("name",)),
        HeaderMirror(b"mcp-param-city", ("address", "city")),
    )


def test_formats_are_asserted() -> None:
    assert ARGUMENTS.is_valid({"mail": "ada@example.com"})
    assert not ARGUMENTS.is_valid({"mail": "nobody"})


@pytest.mark.parametrize("reference", ["http://127.0.0.1:1/x.json", "file:///etc/passwd", "other.json", "//host/x"])
def test_a_reference_that_leads_out_is_never_fetched(reference: str) -> None:
    with pytest.raises(Exception, match=r"not fetched|outside|reference|URI|url|base"):
        compile_arguments({"type": "object", "properties": {"a": {"$ref": reference}}})
