"""A server's own `requestState` inside of ours: it gets back what it gave, from who was given it."""

import asyncio
import json
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.gateway.bridge.wild import VALUES, objects, read, spelled

from portico.gateway.protocol.bridge.members import body_of, members_of, value_of
from portico.gateway.protocol.bridge.routed import Routed
from portico.gateway.protocol.bridge.seal import LONGEST, Seal, binding
from portico.upstream.mcp.upstream import Hear, Outcome
from portico.wire.errors import RpcError
from portico.wire.jsonrpc import Id

KEY = b"k" * 32
STATES = st.text(st.characters(exclude_categories=["Cs"]), max_size=50)


class Server:
    """Answers with what it is told to, and keeps what it was sent."""

    greeting = b"{}"

    def __init__(self, answer: bytes) -> None:
        self.answer = answer
        self.sent: bytes | None = None

    async def request(
        self,
        method: str,
        params: bytes | None,
        *,
        identifier: Id,
        deadline: float,
        hear: Hear | None = None,
        headers: Mapping[str, str] = {},
    ) -> Outcome:
        self.sent = params
        return Outcome(b'"result":' + self.answer, False)

    def listen(self, hear: Hear) -> Any: ...

    async def notify(self, method: str, params: bytes | None) -> None: ...

    def release(self) -> None: ...


def asked(server: Server, params: bytes, worker: str = "one", principal: str = "ada") -> bytes:
    """What a client is answered in this worker."""

    def bind(method: str, params: bytes | None) -> bytes:
        return binding(principal, "/demo", "server", method, params)

    routed: Any = Routed(server, Seal(KEY, worker), bind)  # type: ignore[arg-type]
    return body_of(asyncio.run(routed.request("tools/call", params, identifier=1, deadline=1e9)))


def asking(state: str) -> bytes:
    return json.dumps({"resultType": "input_required", "inputRequests": {}, "requestState": state}).encode()


@given(STATES, objects())
def test_a_server_gets_back_what_it_gave(state: str, params: dict[str, Any]) -> None:
    params.pop("requestState", None)
    given_ = read(asked(Server(asking(state)), json.dumps(params).encode()))
    assert given_["inputRequests"] == {}
    retry = {**params, "requestState": given_["requestState"], "inputResponses": {"a": 1}}
    server = Server(b"{}")
    asked(server, json.dumps(retry).encode())
    assert read(server.sent or b"") == read(json.dumps({**retry, "requestState": state}).encode())


@given(STATES, st.sampled_from(["worker", "principal", "params", "state"]), st.data())
def test_it_gets_back_nothing_of_others_or_of_other_requests(state: str, what: str, data: st.DataObject) -> None:
    params: dict[str, Any] = {"name": "a"}
    sealed = read(asked(Server(asking(state)), b'{"name":"a"}'))["requestState"]
    if what == "state":
        at = data.draw(st.integers(0, len(sealed) - 1))
        sealed = sealed[:at] + ("A" if sealed[at] != "A" else "B") + sealed[at + 1 :]
    retry = {**params, **({"more": 1} if what == "params" else {}), "requestState": sealed}
    server, more = Server(b"{}"), {"worker": "two"} if what == "worker" else {}
    more |= {"principal": "bob"} if what == "principal" else {}
    with pytest.raises(RpcError) as refused:
        asked(server, json.dumps(retry).encode(), **more)
    assert refused.value.code == -32602
    assert server.sent is None


@given(spelled(objects(requestState=VALUES, resultType=st.just("complete"))))
def test_what_asks_for_no_input_is_passed_on_as_it_is(body: bytes) -> None:
    if value_of(members_of(body).get("resultType")) != "input_required":
        assert asked(Server(body), b"{}") == body


def test_a_state_that_is_too_long_is_refused_when_it_comes_back() -> None:
    sealed = read(asked(Server(asking("x" * LONGEST)), b"{}"))["requestState"]
    with pytest.raises(RpcError, match="requestState"):
        asked(Server(b"{}"), json.dumps({"requestState": sealed}).encode())
