"""The short way reads envelopes by itself: never otherwise than the general way does."""

import json
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from portico.gateway.protocol.params import UNSET, decode_params, decode_plain_call
from portico.wire.errors import RpcError
from portico.wire.jsonrpc import decode, plain_call

PLAIN = b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"x","arguments":{"id":"a"},"_meta":{}}}'
PIECES = st.sampled_from(
    [
        b"{",
        b"}",
        b'"',
        b",",
        b":",
        b" ",
        b"\\",
        b'"id":2',
        b',"params":{}',
        b"null",
        b"0",
        b"[",
        b"]",
        b'"name":"y"',
        b"\n",
    ]
)
MEMBERS = st.permutations(['"jsonrpc":"2.0"', '"id":"a.b"', '"method":"tools/call"', '"params":{"name":"x"}', '"id":3'])


@given(damages=st.lists(st.tuples(st.floats(0, 1), st.booleans(), PIECES), max_size=4))
@example(damages=[])
def test_what_is_plain_is_read_alike(damages: list[tuple[float, bool, bytes]]) -> None:
    body = PLAIN
    for place, cut, piece in damages:
        at = int(place * len(body))
        body = body[:at] + piece + body[at + cut :]
    agree(body)


@given(members=MEMBERS, count=st.integers(1, 5), space=st.sampled_from(["", " ", "\n"]))
def test_members_in_any_order_and_number_are_read_alike(members: list[str], count: int, space: str) -> None:
    agree(("{" + f",{space}".join(members[:count]) + "}").encode())


@pytest.mark.parametrize("identifier", [0, 7, 2**53, "a", "A_b-1.2:3"])
@pytest.mark.parametrize("separators", [(",", ":"), (", ", ": ")])
def test_what_clients_write_is_plain(identifier: Any, separators: tuple[str, str]) -> None:
    message = {"jsonrpc": "2.0", "id": identifier, "method": "tools/call", "params": {"name": "x"}}
    found = plain_call(json.dumps(message, separators=separators).encode())
    if identifier == 2**53:
        assert found is None
    else:
        assert found is not None
        assert found[0] == identifier
        assert decode_plain_call(found[1]) is not None


def agree(body: bytes) -> None:
    found = plain_call(body)
    mine = decode_plain_call(found[1]) if found is not None else None
    if found is None or mine is None:
        return
    try:
        message = decode(body)
        theirs = decode_params(message.params)
    except RpcError as error:
        raise AssertionError(f"{body!r} is refused: {error}") from None
    assert (message.id, message.method, message.result, message.error) == (found[0], "tools/call", UNSET, UNSET)
    assert (mine.name, mine.arguments, mine.meta) == (theirs.name, theirs.arguments, theirs.meta)
