"""One channel for many: whose answer, progress, question and subscription is whose."""

import asyncio
import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from portico.net.errors import Busy, TimedOut, Unreachable
from portico.upstream.mcp import envelope as envelope
from portico.upstream.mcp.hearing import Hearing
from portico.upstream.mcp.log import BoundedLog
from portico.upstream.mcp.mux import MOST, Mux
from portico.upstream.mcp.upstream import Era, Heard

pytestmark = pytest.mark.anyio
SUBSCRIPTION = "io.modelcontextprotocol/subscriptionId"


class Line:
    """The other end of a mux."""

    def __init__(self, era: Era = "legacy") -> None:
        self.loop = asyncio.get_running_loop()
        self.sent: list[dict[str, Any]] = []
        self.hearing = Hearing(
            "x", self.loop.time, None if era == "modern" else lambda message: self.send(message, None)
        )
        self.mux = Mux("x", era, self.send, self.hearing, BoundedLog("x", self.loop.time))

    def send(self, message: bytes, number: int | None, headers: Any = None) -> None:
        self.sent.append(json.loads(message))

    async def ask(self, method: str, params: Any = None, *, timeout: float = 5, identifier: Any = 1, hear=None):
        encoded = params if isinstance(params, bytes) else json.dumps(params or {}).encode()
        task = asyncio.create_task(
            self.mux.request(method, encoded, identifier=identifier, deadline=self.loop.time() + timeout, hear=hear)
        )
        await asyncio.sleep(0)
        return task

    def take(self, **message: Any) -> None:
        self.mux.take(json.dumps({"jsonrpc": "2.0", **message}).encode())


async def test_equal_ids_become_different_numbers_and_answers_find_their_way() -> None:
    line = Line()
    one, two = await line.ask("a", identifier="same"), await line.ask("b", identifier="same")
    first, second = line.sent[0]["id"], line.sent[1]["id"]
    assert first != second
    line.take(id=second, result={"n": 2})
    line.take(id=first, result={"n": 1})
    assert ((await one).member, (await two).member) == (b'"result":{"n": 1}', b'"result":{"n": 2}')


async def test_equal_progress_tokens_are_told_apart_and_come_back_as_they_were() -> None:
    line, heard = Line(), {1: [], 2: []}
    for client, token in ((1, "t"), (2, "t")):
        await line.ask("x", {"_meta": {"progressToken": token, "other": 1.50}}, hear=heard[client].append)
    tokens = [sent["params"]["_meta"]["progressToken"] for sent in line.sent]
    assert len(set(tokens)) == 2
    line.take(method="notifications/progress", params={"progressToken": tokens[1], "progress": 5})
    line.take(method="notifications/progress", params={"progressToken": 999, "progress": 6})
    line.take(method="notifications/progress", params={"progressToken": "t", "progress": 7})
    assert heard[1] == []
    assert [json.loads(one.params) for one in heard[2]] == [{"progressToken": "t", "progress": 5}]


async def test_a_token_that_is_spelled_with_escapes_is_rewritten_too() -> None:
    line = Line()
    await line.ask("x")
    await line.ask("x", rb'{"_meta":{"progress\u0054oken":1}}')
    assert line.sent[1]["params"]["_meta"] == {"progressToken": line.sent[1]["id"]}


@given(
    st.dictionaries(
        st.text(), st.one_of(st.text(), st.floats(allow_nan=False, allow_infinity=False), st.integers(), st.none())
    ),
    st.text(min_size=1),
)
def test_rewriting_a_token_leaves_every_other_value_as_it_was_written(others: dict[str, Any], token: str) -> None:
    others = {key: value for key, value in others.items() if key not in ("_meta", "progressToken")}
    meta = {**others, "progressToken": token}
    params = json.dumps({"n": 1, **others, "_meta": meta}).encode().replace(b'"n": 1,', b'"n": 1.000e+2000,')
    rewritten, found = envelope.swap_token(params, 7)
    assert rewritten is not None
    assert json.loads(found or b"") == token
    before = msgspec.json.decode(params, type=dict[str, msgspec.Raw])
    after = msgspec.json.decode(rewritten, type=dict[str, msgspec.Raw])
    assert {key: bytes(raw) for key, raw in before.items() if key != "_meta"} == {
        key: bytes(raw) for key, raw in after.items() if key != "_meta"
    }
    assert json.loads(rewritten)["_meta"]["progressToken"] == 7


async def test_subscriptions_carry_the_clients_id() -> None:
    line, heard = Line("modern"), []
    listening = await line.ask("subscriptions/listen", identifier="mine", hear=heard.append)
    number = line.sent[0]["id"]
    line.take(method="notifications/tools/list_changed", params={"_meta": {SUBSCRIPTION: number}})
    line.take(method="notifications/tools/list_changed", params={"_meta": {SUBSCRIPTION: 12345}})
    assert [json.loads(one.params)["_meta"] for one in heard] == [{SUBSCRIPTION: "mine"}]
    line.take(id=number, result={"_meta": {SUBSCRIPTION: number}})
    assert (await listening).member == b'"result":{"_meta":{"io.modelcontextprotocol/subscriptionId":"mine"}}'


async def test_a_subscription_that_the_server_cancels_ends_well() -> None:
    line = Line("modern")
    listening = await line.ask("subscriptions/listen", identifier="mine")
    line.take(method="notifications/cancelled", params={"requestId": line.sent[0]["id"]})
    assert b'"resultType":"complete"' in (await listening).member


async def test_giving_up_and_running_late_cancel_by_our_number() -> None:
    line = Line()
    gone, late = await line.ask("a", identifier="x"), await line.ask("b", timeout=0.01)
    gone.cancel()
    with pytest.raises(TimedOut, match="x did not answer"):
        await late
    cancelled = [one["params"]["requestId"] for one in line.sent if one["method"] == "notifications/cancelled"]
    assert sorted(cancelled) == [1, 2]


async def test_a_question_goes_to_the_one_whose_call_is_under_way() -> None:
    line, mine, others = Line(), [], []
    line.hearing.listen(others.append)
    await line.ask("tools/call", hear=mine.append)
    line.take(id="q", method="elicitation/create", params={"message": "?"})
    assert not others
    mine[0].answer(b'"result":{"action":"accept"}')
    mine[0].answer(b'"result":{"action":"twice"}')
    assert line.sent[1:] == [{"jsonrpc": "2.0", "id": "q", "result": {"action": "accept"}}]


async def test_a_question_that_could_be_anybodys_reaches_nobody_else() -> None:
    line, heard = Line(), []
    for _ in range(2):
        line.hearing.listen(heard.append)
        await line.ask("tools/call", hear=heard.append)
    line.take(id="q", method="elicitation/create")
    line.take(method="notifications/message", params={"data": "secret"})
    assert heard == []
    assert line.sent[2]["error"]["code"] == -32601


async def test_a_client_that_is_alone_gets_whatever_its_calls_cause() -> None:
    line, standing = Line(), []
    line.hearing.listen(standing.append)
    for _ in range(2):
        await line.ask("tools/call", hear=lambda heard: None)
    line.take(method="notifications/message", params={"data": "x"})
    assert [heard.method for heard in standing] == ["notifications/message"]


async def test_list_changes_reach_everybody() -> None:
    line, first, second = Line(), [], []
    line.hearing.listen(first.append)
    line.hearing.listen(second.append)
    await line.ask("tools/call", hear=lambda heard: None)
    line.take(method="notifications/tools/list_changed")
    assert len(first) == len(second) == 1


async def test_what_is_said_before_anybody_listens_is_kept() -> None:
    line, heard = Line(), []
    line.take(id=1, method="roots/list")

    def hear(one: Heard) -> None:
        one.claimed = True
        heard.append(one)

    line.hearing.listen(hear)
    assert [one.method for one in heard] == ["roots/list"]


async def test_a_question_that_nobody_can_be_asked_is_refused_and_a_ping_answered() -> None:
    line = Line()
    line.hearing.listen(lambda heard: None)
    line.take(id=1, method="roots/list")
    line.take(id=2, method="ping")
    assert "error" in line.sent[0]
    assert line.sent[1] == {"jsonrpc": "2.0", "id": 2, "result": {}}


async def test_a_question_that_is_withdrawn_is_withdrawn_from_the_client() -> None:
    line, heard, withdrawn = Line(), [], []

    def hear(one: Heard) -> None:
        one.withdrawn = lambda: withdrawn.append(one.method)
        heard.append(one)

    await line.ask("tools/call", hear=hear)
    line.take(id="q", method="elicitation/create")
    line.take(method="notifications/cancelled", params={"requestId": "q"})
    assert withdrawn == ["elicitation/create"]
    heard[0].answer(b'"result":{}')
    assert len(line.sent) == 1


async def test_a_modern_server_may_not_ask() -> None:
    line, heard = Line("modern"), []
    await line.ask("tools/call", hear=heard.append)
    line.take(id="q", method="elicitation/create")
    assert heard == []
    assert len(line.sent) == 1


async def test_requests_under_way_are_bounded() -> None:
    line = Line()
    tasks = [await line.ask("x") for _ in range(MOST)]
    with pytest.raises(Busy, match=f"{MOST} requests to x are under way"):
        await (await line.ask("x"))
    line.mux.end(Unreachable("it is gone"))
    assert {type(error) for error in await asyncio.gather(*tasks, return_exceptions=True)} == {Unreachable}
    with pytest.raises(Unreachable):
        await (await line.ask("x"))


async def test_a_batch_is_taken_apart() -> None:
    line = Line()
    one, two = await line.ask("a"), await line.ask("b")
    line.mux.take(b'[{"jsonrpc":"2.0","id":1,"result":1},{"jsonrpc":"2.0","id":2,"result":2}]')
    assert ((await one).member, (await two).member) == (b'"result":1', b'"result":2')


@given(st.binary(max_size=200))
def test_any_bytes_of_a_server_are_read_or_refused(data: bytes) -> None:
    try:
        envelope.read(data)
    except ValueError:
        return
