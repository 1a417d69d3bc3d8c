"""The envelope decoder: any bytes are a message or an error, and never a message that two readers read differently."""

import json
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from portico.wire.errors import INVALID_REQUEST, PARSE_ERROR, RpcError
from portico.wire.jsonrpc import (
    BATCH,
    DEPTH,
    ID_BYTES,
    ID_INTEGER,
    decode,
    decode_batch,
    encode_error,
    encode_notification,
    encode_result,
    is_batch,
    members,
)

MEMBERS = ("jsonrpc", "id", "method", "params", "result", "error")
TEXT = st.text(st.characters(exclude_categories=["Cs"]))
JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=12,
)
OBJECT = st.dictionaries(TEXT, JSON, max_size=4)
ID = st.integers(-ID_INTEGER, ID_INTEGER) | TEXT.filter(lambda text: len(text.encode()) <= ID_BYTES)


def spelled(key: str, escape: bool) -> str:
    """A key as JSON may write it: as it is, or each character by its number."""
    return '"' + ("".join(f"\\u{ord(character):04x}" for character in key) if escape else key) + '"'


KEY = st.tuples(st.sampled_from((*MEMBERS, "extra", "_meta")), st.booleans())
VALUE = st.sampled_from(
    [
        "1",
        '"1"',
        '"2.0"',
        "null",
        "true",
        "{}",
        "[]",
        '"ping"',
        '{"id":1,"method":"x"}',
        '"\\"id\\":"',
        "1e999",
        "9" * 5000,
    ]
) | JSON.map(json.dumps)
SHUFFLED = st.lists(st.tuples(KEY, VALUE), max_size=9).map(
    lambda pairs: ("{" + ",".join(f"{spelled(*key)}:{value}" for key, value in pairs) + "}").encode()
)
CALL = b'{"jsonrpc":"2.0","id":1,"method":"x","params":'
# Bytes that look like an envelope, so that more than the first check is reached.
NEARLY = st.builds(
    lambda prefix, middle, suffix: prefix + middle + suffix,
    st.sampled_from(
        [b'{"jsonrpc":"2.0","id":1,"method":"x","params":', b'{"jsonrpc":"2.0","id":"', b'{"extra":"', b""]
    ),
    st.binary(max_size=40),
    st.sampled_from([b"}", b'"}', b'","jsonrpc":"2.0","id":1,"method":"x"}', b""]),
)


def attempt(read: Callable[[bytes], Any], body: bytes) -> Any:
    """What came of it: the value, or the error, which is one of two kinds and can be answered."""
    try:
        return read(body)
    except RpcError as error:
        kind = (error.code, bool(error.message), bool(encode_error(None, error)))
    assert kind in ((PARSE_ERROR, True, True), (INVALID_REQUEST, True, True))
    return None


def envelope_keys(body: bytes) -> list[str]:
    """Every key of the outermost object, by another reader than the one under test."""
    found: list[list[str]] = []
    json.loads(
        body,
        object_pairs_hook=lambda pairs: found.append([key for key, _ in pairs]),
        parse_int=str,
        parse_float=str,
    )
    return found[-1]


@given(st.binary() | SHUFFLED | NEARLY | JSON.map(lambda value: json.dumps(value).encode()))
def test_any_bytes_are_one_message_or_an_error(body: bytes) -> None:
    message = attempt(decode, body)
    if message is not None:
        keys = [key for key in envelope_keys(body) if key in MEMBERS]
        assert len(keys) == len(set(keys))
        assert message.jsonrpc == "2.0"
        assert not isinstance(message.id, int) or abs(message.id) <= ID_INTEGER
        assert not isinstance(message.id, str) or len(message.id.encode()) <= ID_BYTES


@given(st.binary() | st.lists(SHUFFLED | JSON.map(lambda value: json.dumps(value).encode()), max_size=30).map(
    lambda parts: b"[" + b",".join(parts) + b"]"
))  # fmt: skip
def test_any_bytes_are_a_bounded_batch_or_an_error(body: bytes) -> None:
    parts = attempt(decode_batch, body)
    assert parts is None or 1 <= len(parts) <= BATCH


@given(ID, TEXT, OBJECT | st.none(), st.booleans())
def test_a_request_comes_back_as_it_was_sent(identifier: Any, method: str, params: Any, ascii_only: bool) -> None:
    whole = {"jsonrpc": "2.0", "id": identifier, "method": method}
    whole |= {} if params is None else {"params": params}
    message = decode(json.dumps(whole, ensure_ascii=ascii_only).encode())
    assert message.is_request
    assert (message.id, message.method) == (identifier, method)
    assert type(message.id) is type(identifier)
    assert (message.params is msgspec.UNSET) is (params is None)
    if isinstance(message.params, msgspec.Raw):
        assert json.loads(bytes(message.params)) == params


@given(st.sampled_from(MEMBERS), st.integers(0, 5), VALUE, st.booleans())
def test_a_member_that_is_there_twice_is_refused_however_it_is_spelled(
    key: str, place: int, value: str, escape: bool
) -> None:
    parts = ['"jsonrpc":"2.0"', '"id":1', '"method":"x"', '"params":{"a":[1]}', '"result":{}', '"error":{}']
    parts.insert(place, f"{spelled(key, escape)}:{value}")
    with pytest.raises(RpcError):
        decode(("{" + ",".join(parts) + "}").encode())


@given(st.sampled_from(MEMBERS), st.booleans())
def test_a_member_that_is_there_twice_inside_of_the_params_is_the_methods_affair(key: str, escape: bool) -> None:
    inner = f"{spelled(key, escape)}:1,{spelled(key, escape)}:2"
    assert decode(f'{{"jsonrpc":"2.0","id":1,"method":"x","params":{{{inner}}}}}'.encode()).id == 1


@given(st.integers(1, 200), st.sampled_from(["[]", "{}"]), st.booleans())
def test_nesting_is_bounded_exactly(depth: int, kind: str, in_text: bool) -> None:
    opening = '{"a":' if kind == "{}" else "["
    value = opening * depth + "1" + kind[1] * depth
    inner = json.dumps(value) if in_text else value
    body = f'{{"jsonrpc":"2.0","id":1,"method":"x","params":{{"a":{inner}}}}}'.encode()
    if in_text or depth + 2 <= DEPTH:
        assert decode(body).method == "x"
    else:
        with pytest.raises(RpcError, match="nested"):
            decode(body)


def test_nesting_without_end_is_refused_at_once() -> None:
    for body in (
        b"[" * 4_000_000,
        b'{"a":' * 800_000,
        b'{"jsonrpc":"2.0","id":1,"method":"x","params":' + b"[" * 100_000,
    ):
        with pytest.raises(RpcError):
            decode(body)


@pytest.mark.parametrize(
    ("identifier", "fits"),
    [
        (str(ID_INTEGER), True),
        (str(-ID_INTEGER), True),
        (str(ID_INTEGER + 1), False),
        (str(-ID_INTEGER - 1), False),
        ("9" * 30, False),
        ("9" * 5000, False),
        ("1.0", False),
        ("1.5", False),
        ("true", False),
        ("null", False),
        ("[1]", False),
        ("{}", False),
        ('""', True),
        ('"' + "i" * ID_BYTES + '"', True),
        ('"' + "i" * (ID_BYTES + 1) + '"', False),
        ('"' + "é" * (ID_BYTES // 2) + '"', True),
        ('"' + "é" * (ID_BYTES // 2 + 1) + '"', False),
    ],
)
def test_ids_are_bounded(identifier: str, fits: bool) -> None:
    body = f'{{"jsonrpc":"2.0","id":{identifier},"method":"x"}}'.encode()
    if fits:
        assert decode(body).is_request
    else:
        with pytest.raises(RpcError):
            decode(body)


@pytest.mark.parametrize(
    "extra",
    [b'"\xff\xfe"', b"9" * 5000, b"1e99999", b'"\\ud800"', b'"a\x00b"', b"NaN", b"Infinity", b"'x'", b"01", b"1."],
)
def test_what_another_reader_would_stumble_over_is_no_crash(extra: bytes) -> None:
    for body in (
        b'{"jsonrpc":"2.0","id":1,"method":"x","extra":' + extra + b"}",
        b'{"extra":' + extra + b',"jsonrpc":"2.0","id":1,"method":"x","params":{}}',
        b'{"jsonrpc":"2.0","id":1,"method":"x","\\u0065xtra":' + extra + b"}",
    ):
        attempt(decode, body)


@given(ID, OBJECT)
def test_a_result_comes_back_as_it_was_written(identifier: Any, result: dict[str, Any]) -> None:
    raw = encode_result(identifier, members(result))
    assert json.loads(raw) == {"jsonrpc": "2.0", "id": identifier, "result": result}
    assert decode(raw).id == identifier


@given(ID | st.none(), st.integers(-32768, -32000), TEXT, OBJECT | st.none(), st.sampled_from(["", "w-1"]))
def test_an_error_comes_back_as_it_was_written(identifier: Any, code: int, text: str, data: Any, call: str) -> None:
    error = json.loads(encode_error(identifier, RpcError(code, text, data), call))["error"]
    assert (error["code"], error["message"]) == (code, text)
    expected = {**(data or {}), **({"callId": call} if call else {})}
    assert error.get("data", {}) == expected


@given(TEXT, OBJECT)
def test_a_notification_comes_back_as_it_was_written(method: str, params: dict[str, Any]) -> None:
    message = decode(encode_notification(method, params))
    assert message.is_notification
    assert message.method == method
    assert isinstance(message.params, msgspec.Raw)
    assert json.loads(bytes(message.params)) == params


@given(st.text(" \t\r\n"), st.binary())
def test_a_batch_is_told_by_its_first_character(space: str, rest: bytes) -> None:
    assert is_batch(space.encode() + b"[" + rest)
    assert not is_batch(space.encode() + b"{" + rest)
