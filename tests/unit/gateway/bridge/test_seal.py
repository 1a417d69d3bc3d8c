"""A sealed state comes back from clients who may have changed, kept or stolen it."""

import base64
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portico.gateway.protocol.bridge.seal import LIFETIME, LONGEST, Seal, binding

NOW = 1_000_000.0
SEAL = Seal(b"key", "worker-1", clock=lambda: NOW)
STATE = SEAL.close("number", 3, b"bound", "inner")


def test_what_was_sealed_is_opened_by_every_worker_that_has_the_key() -> None:
    ticket = Seal(b"key", "worker-2", clock=lambda: NOW).open(STATE)
    assert ticket is not None
    assert (ticket.worker, ticket.number, ticket.round, ticket.bound, ticket.state) == (
        "worker-1",
        "number",
        3,
        b"bound",
        "inner",
    )


@given(st.integers(0, len(STATE) - 1), st.characters(codec="ascii"))
def test_a_state_with_any_character_changed_is_nothing(at: int, character: str) -> None:
    changed = STATE[:at] + character + STATE[at + 1 :]
    assert (SEAL.open(changed) is None) == (changed != STATE)


@given(st.none() | st.integers() | st.text() | st.binary() | st.lists(st.text()))
def test_whatever_else_is_nothing(state: object) -> None:
    assert SEAL.open(state) is None


def test_other_spellings_of_a_state_are_nothing() -> None:
    padded = STATE + "=" * (-len(STATE) % 4)
    for other in (
        padded + "=",
        f" {STATE}",
        f"{STATE}\n",
        STATE + "A" * 4,
        padded if padded != STATE else f"{STATE}==",
    ):
        assert SEAL.open(other) is None
    # The last character of some states has bits that no byte needs.
    spare = len(STATE) % 4
    if spare:
        alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
        other = STATE[:-1] + alphabet[alphabet.index(STATE[-1]) ^ 1]
        assert base64.urlsafe_b64decode(other + "=" * (-len(other) % 4)) == base64.urlsafe_b64decode(padded)
        assert SEAL.open(other) is None


def test_a_state_of_another_key_is_nothing() -> None:
    assert Seal(b"other", "worker-1", clock=lambda: NOW).open(STATE) is None


def test_a_state_expires() -> None:
    assert Seal(b"key", "worker-1", clock=lambda: NOW + LIFETIME - 1).open(STATE) is not None
    assert Seal(b"key", "worker-1", clock=lambda: NOW + LIFETIME).open(STATE) is None


def test_a_state_longer_than_any_of_ours_is_not_looked_at() -> None:
    assert SEAL.open("A" * (LONGEST + 1)) is None


def test_two_states_of_the_same_are_different() -> None:
    assert SEAL.close("number", 3, b"bound") != SEAL.close("number", 3, b"bound")


# What a state is bound to ---------------------------------------------------------------------------------------------

CALL = ("ada", "/demo", "everything", "tools/call", b'{"name":"a","arguments":{"x":1}}')


@pytest.mark.parametrize(
    "other",
    [
        ("bob", *CALL[1:]),
        (None, *CALL[1:]),
        (*CALL[:1], "/other", *CALL[2:]),
        (*CALL[:2], "another", *CALL[3:]),
        (*CALL[:3], "prompts/get", CALL[4]),
        (*CALL[:4], b'{"name":"b","arguments":{"x":1}}'),
        (*CALL[:4], b'{"name":"a","arguments":{"x":2}}'),
        (*CALL[:4], b'{"name":"a","arguments":{"x":1},"more":null}'),
        (*CALL[:4], b'{"name":"a","arguments":{"x":1.00000000000000000001}}'),
    ],
)
def test_a_state_is_bound_to_whose_call_it_is_and_what_it_asks(other: tuple[str | None, str, str, str, bytes]) -> None:
    assert binding(*CALL) != binding(*other)  # type: ignore[arg-type]


@given(st.dictionaries(st.sampled_from(["_meta", "inputResponses", "requestState"]), st.text(max_size=3)))
def test_what_a_retry_may_change_is_not_bound(more: dict[str, str]) -> None:
    params = json.dumps({**more, "arguments": {"x": 1}, "name": "a"}).encode()
    assert binding(*CALL[:4], params) == binding(*CALL)


@pytest.mark.parametrize("params", [b"[]", b"7", b'"text"', b"{", b"[" * 100_000])
def test_params_that_are_no_object_are_bound_to_nothing(params: bytes) -> None:
    with pytest.raises(ValueError):
        binding(*CALL[:4], params)
