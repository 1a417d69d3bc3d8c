"""URI templates of resources: what is expanded comes back, a value never crosses its segment, and nothing is slow."""

import time
from urllib.parse import quote, unquote

from hypothesis import given
from hypothesis import strategies as st

from portico.gateway.runtime.uri_templates import compile_uri_template

NAME = st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,8}", fullmatch=True)
LITERAL = st.text(st.characters(codec="ascii", exclude_characters="{}"), min_size=1, max_size=10)
VALUES = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=50)


@given(st.lists(st.tuples(LITERAL, NAME, VALUES), min_size=1, max_size=4, unique_by=lambda part: part[1]))
def test_what_was_expanded_comes_back(parts: list[tuple[str, str, str]]) -> None:
    template = "x:" + "".join(f"/{literal}/{{{name}}}" for literal, name, _ in parts)
    uri = "x:" + "".join(f"/{literal}/{quote(value, safe='')}" for literal, _, value in parts)
    pattern, variables = compile_uri_template(template)
    match = pattern.fullmatch(uri)
    assert match is not None
    assert variables == tuple(name for _, name, _ in parts)
    assert [unquote(match[f"v{index}"]) for index in range(len(parts))] == [value for _, _, value in parts]


@given(st.text(max_size=60))
def test_a_plain_variable_stays_in_its_segment(uri: str) -> None:
    pattern, _ = compile_uri_template("users://user/{id}/data")
    match = pattern.fullmatch("users://user/" + uri)
    if match is not None:
        assert not set(match["v0"]) & set("/?#")


def test_a_reserved_variable_crosses_segments() -> None:
    pattern, variables = compile_uri_template("file:///{+path}")
    match = pattern.fullmatch("file:///a/b%20c?d#e\nf")
    assert match is not None
    assert (variables, match["v0"]) == (("path",), "a/b%20c?d#e\nf")


@given(LITERAL)
def test_what_is_no_variable_is_taken_literally(text: str) -> None:
    pattern, variables = compile_uri_template(text)
    assert variables == ()
    assert pattern.fullmatch(text)
    assert not pattern.fullmatch(text + "x")


def test_no_uri_makes_the_matching_slow() -> None:
    pattern, _ = compile_uri_template("x://{+a}/{+b}/{+c}/end")
    begun = time.monotonic()
    assert pattern.fullmatch("x://" + "/" * 400 + "x") is None
    assert time.monotonic() - begun < 2.0
