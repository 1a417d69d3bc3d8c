"""Mirrored header values: what clients encode comes back, and nothing else matches."""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portico.wire.headers import decode_value, matches

PLAIN = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E)).map(str.strip)


def encode(text: str) -> bytes:
    """What a client does (specification 2026-07-28, streamable HTTP: Value Encoding)."""
    plain = all(" " <= character <= "~" for character in text) and text == text.strip()
    if plain and not (text.startswith("=?base64?") and text.endswith("?=")):
        return text.encode()
    return b"=?base64?" + base64.b64encode(text.encode()) + b"?="


@given(st.text() | PLAIN | PLAIN.map("=?base64?{}?=".format))
def test_any_text_comes_back(text: str) -> None:
    assert decode_value(encode(text)) == text


@given(st.binary())
def test_any_bytes_are_a_text_or_nothing(value: bytes) -> None:
    decoded = decode_value(value)
    assert decoded is None or isinstance(decoded, str)


@given(PLAIN, st.text(" \t", max_size=4), st.text(" \t", max_size=4))
def test_white_space_around_a_value_is_not_part_of_it(text: str, before: str, after: str) -> None:
    assert decode_value(before.encode() + encode(text) + after.encode()) == text


@pytest.mark.parametrize(
    "value", [b"a\nb", b"a\rb", b"\x00", b"\x7f", b"caf\xc3\xa9", b"=?base64?!?=", b"=?base64?/w==?="]
)
def test_what_a_header_may_not_have_is_nothing(value: bytes) -> None:
    assert decode_value(value) is None


@pytest.mark.parametrize("value", [b"=?base64?=", b"=?Base64?YQ==?=", b"=?base64?YQ=="])
def test_what_only_resembles_the_sentinel_is_the_text_itself(value: bytes) -> None:
    assert decode_value(value) == value.decode()


@given(st.integers(), st.integers())
def test_integers_are_compared_to_the_last_digit(header: int, value: int) -> None:
    assert matches(str(header), value) == (header == value)
    assert matches(f"{header}.0", value) == (header == value)


@given(st.floats(allow_nan=False, allow_infinity=False, min_value=-1e300, max_value=1e300))
def test_a_number_matches_itself(value: float) -> None:
    assert matches(repr(value), value)


@given(st.text(), st.booleans() | st.integers() | st.floats() | st.none() | st.lists(st.integers()) | st.text())
def test_matching_never_raises(header: str, value: object) -> None:
    assert matches(header, value) in (True, False)


@pytest.mark.parametrize(
    ("header", "value"),
    [
        ("1_0", 10),
        (" 10", 10),
        ("+10", 10),
        ("٣", 3),
        ("0x0a", 10),
        ("nan", float("nan")),
        ("inf", float("inf")),
        ("1" * 5000, 1),
        ("1e9999999", 1),
        ("True", True),
        ("1", True),
        ("0", False),
        ("None", None),
        ("A", "a"),
        ("9007199254740992", 9007199254740993),
        ("12345678901234567891", 12345678901234567890),
    ],
)
def test_what_only_resembles_a_value_does_not_match(header: str, value: object) -> None:
    assert not matches(header, value)
