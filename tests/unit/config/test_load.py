"""Reading never raises, never takes long, and means what YAML 1.2 and JSON say."""

import json
import math
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from portico.config.check import check
from portico.config.load import Loaded, load
from portico.config.problem import Problem

from .test_check import GOOD

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), inner)
    ),
    max_leaves=20,
)
YAML_LIKE = st.text(st.sampled_from(list("ab: -[]{}&*!|>'\"#%@,?\n\t0.1e\\u<~\u2028\ud800\ufeff")), max_size=60)


def codes(loaded: Loaded) -> list[str]:
    return [problem.code for problem in loaded.problems]


def within(text: str | bytes, problem: Problem) -> bool:
    lines = text.decode("utf-8", "replace").split("\n") if isinstance(text, bytes) else text.split("\n")
    return 1 <= problem.line <= len(lines) + 1 and problem.column >= 1


@given(st.one_of(st.text(), st.binary(), YAML_LIKE), st.sampled_from(["a.yaml", "a.json"]))
@settings(max_examples=600, deadline=None)
def test_check_never_raises_and_says_at_least_something(text: str | bytes, source: str) -> None:
    checked = check(text, source)
    assert checked.document is not None or checked.problems
    assert all(within(text, problem) and problem.mend for problem in checked.problems)


def places(value: object, path: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(place for part, each in inner for place in places(each, (*path, part)))]


ODD = st.sampled_from(
    [{}, [], "", "x", "{{", "{{ args.a }}", "{% if %}", "{a}", "#/x", 0, -1, True, None, "\x00", "é" * 300]
)


@given(st.sampled_from(places(load(GOOD, "good.yaml").value)[1:]), JSON | ODD, st.booleans())
@settings(max_examples=500, deadline=None)
def test_any_value_at_any_place_of_a_document_is_judged(
    path: tuple[str | int, ...], value: object, rename: bool
) -> None:
    document = load(GOOD, "good.yaml").value
    parent = document
    for part in path[:-1]:
        parent = parent[part]
    if rename and isinstance(parent, dict):
        parent[str(value)] = parent.pop(path[-1])
    else:
        parent[path[-1]] = value
    checked = check(json.dumps(document), "a.json")
    assert checked.document is not None or checked.problems


@given(JSON)
@settings(max_examples=300, deadline=None)
def test_json_is_read_as_json_reads_it(value: object) -> None:
    loaded = load(json.dumps(value), "a.json")
    assert loaded.readable
    assert loaded.value == value
    assert load(json.dumps(value, ensure_ascii=False, indent=1), "a.json").value == value


@given(JSON)
@settings(max_examples=300, deadline=None)
def test_every_value_of_json_has_a_place_that_holds_it(value: object) -> None:
    text = json.dumps(value, indent=1, ensure_ascii=False)
    loaded, decoder = load(text, "a.json"), json.JSONDecoder()
    lines = text.split("\n")

    def visit(path: tuple[str | int, ...], expected: object) -> None:
        line, column = loaded.positions.find(path)
        rest = "\n".join([lines[line - 1][column - 1 :], *lines[line:]])
        assert decoder.raw_decode(rest)[0] == expected
        if isinstance(expected, dict):
            for key, inner in expected.items():
                visit((*path, key), inner)
        elif isinstance(expected, list):
            for index, inner in enumerate(expected):
                visit((*path, index), inner)

    visit((), value)


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        *[
            (word, word)
            for word in ("yes", "no", "on", "off", "y", "n", "12:30:00", "1_000", "2026-01-01", "0b11", "- x")[:-1]
        ],
        *[(word, None) for word in ("null", "~", "Null", "")],
        *[("true", True), ("FALSE", False), ("0o17", 15), ("0x1F", 31), ("017", 17), ("-3", -3), ("+4", 4)],
        *[
            ("1e3", 1000.0),
            (".5", 0.5),
            ("1.", 1.0),
            ("-2.5E-3", -0.0025),
            ("1.2.3", "1.2.3"),
            ("'1'", "1"),
            ("! 1", "1"),
        ],
        *[("18446744073709551615", 2**64 - 1), ("-9223372036854775808", -(2**63)), ("!!str 1", "1")],
    ],
)
def test_plain_scalars_follow_the_core_schema_of_yaml_1_2(written: str, meant: object) -> None:
    loaded = load(f"a: {written}\n", "a.yaml")
    assert loaded.value == {"a": meant}
    assert type(loaded.value["a"]) is type(meant)


def test_aliases_repeat_values_and_their_problems_show_the_alias() -> None:
    loaded = load("a: &a {x: 1}\nb: *a\n", "a.yaml")
    assert loaded.value == {"a": {"x": 1}, "b": {"x": 1}}
    assert loaded.positions.find(("b", "x")) == (2, 4)


def test_keys_are_text_as_in_json() -> None:
    assert load("{200: a, true: b}", "a.yaml").value == {"200": "a", "true": "b"}
    assert codes(load("{200: a, '200': b}", "a.yaml")) == ["duplicate-key"]


def test_a_duplicate_key_names_both_lines() -> None:
    (problem,) = load("a: 1\nb: 2\na: 3\n", "a.yaml").problems
    assert "line 1" in problem.message
    assert "line 3" in problem.message
    assert (problem.pointer, problem.line) == ("/a", 3)


@pytest.mark.parametrize("text", [b"\xff\xfea\x00", b"name: \xe9", "name: \ud800"])
def test_text_that_is_not_utf_8_is_a_problem(text: str | bytes) -> None:
    assert codes(load(text, "a.yaml")) == ["not-utf-8"]


def test_a_json_file_holds_json_only() -> None:
    assert codes(load('{"a": 1,}', "a.json")) == ["syntax"]
    assert codes(load("a: 1", "a.json")) == ["syntax"]
    assert codes(load('{"a": 1, "a": 2}', "a.json")) == ["duplicate-key"]
    assert codes(load('"\\ud800"', "a.json")) == ["lone-surrogate"]
    assert codes(load("1e400", "a.json")) == ["number-out-of-range"]
    assert load('"\\ud83d\\ude00"', "a.json").value == "😀"
    assert math.isclose(load("1e-400", "a.json").value, 0)


LAUGHS = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{n + 1}: &a{n + 1} [{', '.join([f'*a{n}'] * 5)}]\n" for n in range(9)
)
BOMBS = {
    "aliases": ("a: &a 1\nb: [" + "*a," * 349_000 + "]", "too-many-aliases"),
    "unknown aliases": ("[" + "*a," * 349_000 + "]", "unknown-alias"),
    "laughs": (LAUGHS, "alias-expansion"),
    "a large text repeated": ("a: &a " + "x" * 100_000 + "\nb: [" + "*a," * 20 + "]", "alias-expansion"),
    "deep through aliases": ("a: &a " + "[" * 40 + "]" * 40 + "\nb: " + "[" * 20 + "*a" + "]" * 20, "alias-expansion"),
    "deep lists": ("[" * 1_000_000, "too-deep"),
    "deep mappings": ("{a: " * 250_000, "too-deep"),
    "deep blocks": ("- " * 500_000, "too-deep"),
    "duplicate keys": ("a: 1\n" * 200_000, "too-many-problems"),
    "keys of keys": ("? " * 500_000, "key-not-text"),
    "documents": ("---\n" * 250_000, "several-documents"),
    "too large": ("a" * (1024 * 1024 + 1), "too-large"),
    "too large in bytes": ("é" * (600 * 1024), "too-large"),
    "a long number": ("a: " + "9" * 1_000_000, "number-out-of-range"),
}


@pytest.mark.parametrize(("text", "code"), BOMBS.values(), ids=BOMBS)
def test_a_bomb_is_a_problem_at_once(text: str, code: str) -> None:
    start = time.perf_counter()
    checked = check(text, "bomb.yaml")
    assert time.perf_counter() - start < 0.25
    assert checked.document is None
    assert code in [problem.code for problem in checked.problems]


def test_a_megabyte_of_values_is_a_problem_within_seconds() -> None:
    start = time.perf_counter()
    assert codes(load("[" + "[]," * 349_000 + "]", "a.yaml")) == ["too-many-values"]
    assert codes(load("[" + "[]," * 348_999 + "[]]", "a.json")) == ["too-many-values"]
    assert time.perf_counter() - start < 5
