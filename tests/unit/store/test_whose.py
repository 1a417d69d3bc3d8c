"""Whose document a text is: what is seen at first sight is what reading all of it says."""

import json

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from portico.config.scalars import NotANumber, plain_scalar
from portico.store.files.whose import whose


def stays_text(text: str) -> bool:
    """Without quotes too. PyYAML writes such as 0e0 without them, for to YAML 1.1 it is no number."""
    try:
        return not text or isinstance(plain_scalar(text), str)
    except NotANumber:
        return False


NAMES = st.from_regex(r"[a-z0-9][a-z0-9-]{0,20}", fullmatch=True).filter(stays_text)
# What may not stand in a document, PyYAML writes as it is.
WORDS = st.text(st.characters(codec="utf-8", exclude_characters="\x85"), max_size=60).filter(stays_text)
LINES = st.lists(
    st.sampled_from(["name: x", "tenant: y", "'name': x", "{", "}", " ", "# name: x", "- name: z"]), max_size=5
)


@given(NAMES, st.none() | NAMES, WORDS | LINES.map("\n".join), st.booleans(), st.booleans())
def test_what_a_text_says_is_found_however_it_is_written(
    name: str, tenant: str | None, words: str, flow: bool, quotes: bool
) -> None:
    document = {"version": 1, "name": name, "servers": [{"name": "inner", "tenant": "inner"}], "description": words}
    document |= {} if tenant is None else {"tenant": tenant}
    expected = (tenant or "default", name)
    for style in ('"', "'", "|", None):
        text = yaml.dump(document, default_style='"' if quotes else style, default_flow_style=flow, allow_unicode=True)
        assert whose(text.encode("utf-8", "replace"), "a.yaml") == expected
    for key in ("a.json", "a.yaml"):
        assert whose(json.dumps(document, indent=2 if flow else None).encode(), key) == expected


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"\xff",
        b"name: 1.5",
        b"name: [a]",
        b"name: ''",
        b"tenant: a",
        b"name: a\ntenant: A",
        b"- name: a",
        b" name: [",
        b"name: " + b"a" * 64,
        b"description: |\n  name: a",
        b"{" * 100_000,
    ],
)
def test_a_text_that_does_not_say_it_is_nobodys(text: bytes) -> None:
    assert whose(text, "a.yaml") is None


@given(st.binary(max_size=200) | st.text(alphabet="name: tt\n'\"{}[]-#|>&*!ax\r", max_size=60).map(str.encode))
def test_no_text_is_too_odd(text: bytes) -> None:
    for key in ("a.yaml", "a.json"):
        found = whose(text, key)
        assert found is None or len(found) == 2


def test_a_broken_text_still_says_it() -> None:
    assert whose(b"name: a # mine\r\ntools: [\n", "a.yaml") == ("default", "a")


def test_a_json_text_that_says_it_twice_is_whose_it_says_first() -> None:
    assert whose(b'{"name": "a", "name": "b"}', "a.json") == ("default", "a")
