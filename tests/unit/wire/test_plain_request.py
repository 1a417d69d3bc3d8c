"""The short way reads envelopes by itself: never otherwise than the general way does."""

import json
from typing import Any

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from portico.gateway.protocol.params import UNSET, decode_params, decode_plain_call, decode_plain_list
from portico.wire.errors import RpcError
from portico.wire.jsonrpc import decode
from portico.wire.plain_request import CALL, plain_request

PLAIN = [
    b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"x","arguments":{"id":"a"},"_meta":{}}}',
    b'{"method":"tools/call","params":{"name":"x","arguments":{"id":"a"},"_meta":{}},"jsonrpc":"2.0","id":1}',
    b'{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{"_meta":{}}}',
    b'{"method":"tools/list","params":{"_meta":{}},"jsonrpc":"2.0","id":"a"}',
    b'{"jsonrpc":"2.0","id":1,"method":"tools/list"}',
    b'{"method":"tools/list","jsonrpc":"2.0","id":1}',
]
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
        b',"jsonrpc":"2.0","id":1}',
        b'"params":',
    ]
)
MEMBERS = st.permutations(['"jsonrpc":"2.0"', '"id":"a.b"', '"method":"tools/call"', '"params":{"name":"x"}', '"id":3'])
ORDERS = [("jsonrpc", "id", "method", "params"), ("method", "params", "jsonrpc", "id")]


@given(body=st.sampled_from(PLAIN), damages=st.lists(st.tuples(st.floats(0, 1), st.booleans(), PIECES), max_size=4))
@example(body=b'{"method":"tools/list","params":,"jsonrpc":"2.0","id":1}', damages=[])
@example(body=b'{"method":"tools/list","more":1,"jsonrpc":"2.0","id":1}', damages=[])
@example(body=b'{"jsonrpc":"2.0","id":1,"method":"tools/list","params":}', damages=[])
@example(body=b'{"method":"tools/list","params":{},"id":2,"params":{},"jsonrpc":"2.0","id":1}', damages=[])
def test_what_is_plain_is_read_alike(body: bytes, damages: list[tuple[float, bool, bytes]]) -> None:
    for place, cut, piece in damages:
        at = int(place * len(body))
        body = body[:at] + piece + body[at + cut :]
    agree(body)


@given(members=MEMBERS, count=st.integers(1, 5), space=st.sampled_from(["", " ", "\n"]))
def test_members_in_any_order_and_number_are_read_alike(members: list[str], count: int, space: str) -> None:
    agree(("{" + f",{space}".join(members[:count]) + "}").encode())


@pytest.mark.parametrize("identifier", [0, 7, 2**53, "a", "A_b-1.2:3"])
@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize(
    ("method", "params"), [("tools/call", {"name": "x"}), ("tools/list", {}), ("tools/list", None)]
)
def test_what_clients_write_is_plain(
    identifier: Any, order: tuple[str, ...], method: str, params: dict[str, Any] | None
) -> None:
    members = {"jsonrpc": "2.0", "id": identifier, "method": method, "params": params}
    message = {key: members[key] for key in order if members[key] is not None}
    found = plain_request(json.dumps(message, separators=(",", ":")).encode())
    if identifier == 2**53:
        assert found is None
    else:
        assert found is not None
        assert found[:2] == (method.encode(), identifier)
        assert json.loads(found[2]) == (params or {})


def test_the_usual_order_may_have_spaces() -> None:
    message = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "x"}}
    assert plain_request(json.dumps(message).encode()) == (CALL, 1, b'{"name": "x"}')


def agree(body: bytes) -> None:
    found = plain_request(body)
    if found is None:
        return
    method, identifier, raw = found
    mine = decode_plain_call(raw) if method == CALL else decode_plain_list(raw)
    if mine is None:
        return
    try:
        message = decode(body)
        theirs = decode_params(message.params)
    except RpcError as error:
        raise AssertionError(f"{body!r} is refused: {error}") from None
    assert (message.id, message.method) == (identifier, method.decode())
    assert (message.result, message.error) == (UNSET, UNSET)
    assert {name: getattr(theirs, name) for name in mine.__struct_fields__} == msgspec.structs.asdict(mine)
