"""What every upstream does, whatever its transport and era: against a real server in a process of its own."""

import asyncio
import json
from collections.abc import AsyncIterator

import pytest
from tests.contracts.mcp_servers import Talk, hello, params, spec_of

from portico.net.egress import Egress
from portico.net.errors import Unreachable
from portico.net.http_client import HttpClient
from portico.upstream.mcp.upstream import McpUpstream
from portico.upstream.pool import Pool

pytestmark = [pytest.mark.anyio, pytest.mark.slow]

KINDS = ["http", "json", "sse", "stdio"]
ERAS = ["legacy", "modern"]


@pytest.fixture
async def pool() -> AsyncIterator[Pool]:
    client = HttpClient(Egress.parse("any"))
    pool = Pool(client)
    yield pool
    await asyncio.wait_for(pool.close(), 20)
    await client.aclose()


@pytest.fixture(params=[f"{kind}-{era}" for kind in KINDS for era in ERAS])
async def talk(request: pytest.FixtureRequest, pool: Pool) -> AsyncIterator[Talk]:
    kind, _, era = request.param.partition("-")
    async with spec_of(kind, era) as spec:
        lease = pool.lease([spec])
        upstream = lease[spec]
        conversation = await (upstream.legacy(hello()) if era == "legacy" else upstream.modern())
        yield Talk(conversation)
        conversation.release()
        lease.release()


async def test_it_greets_and_lists_what_the_server_offers(talk: Talk) -> None:
    greeting = json.loads(talk.conversation.greeting)
    assert greeting["instructions"] == "fixture"
    tools = (await talk.result("tools/list"))["tools"]
    schema = next(tool["inputSchema"] for tool in tools if tool["name"] == "json_schema_2020_12_tool")
    assert schema["$defs"]["address"]["$anchor"] == "addressDef"


async def test_a_call_comes_back_with_its_content(talk: Talk) -> None:
    found = await talk.call("test_simple_text")
    assert found["content"][0]["text"] == "This is a simple text response for testing."


async def test_an_error_of_the_server_is_an_outcome(talk: Talk) -> None:
    outcome = await talk.ask("tools/call", {"name": "no such tool", "arguments": {}})
    assert outcome.is_error
    assert b"Unknown tool: no such tool" in outcome.member


async def test_progress_arrives_before_the_end_under_the_clients_token(talk: Talk, request) -> None:
    await talk.call("test_tool_with_progress", progressToken="mine")
    if "json-" in request.node.callspec.id:
        return
    progress = [params(heard) for heard in talk.heard if heard.method == "notifications/progress"]
    assert [one["progress"] for one in progress] == [0, 50, 100]
    assert {one["progressToken"] for one in progress} == {"mine"}


async def test_a_question_is_put_to_the_client_and_its_answer_used(talk: Talk, request) -> None:
    if "json-legacy" in request.node.callspec.id:
        pytest.skip("a server without streams cannot ask")
    if talk.conversation.era == "modern":
        first = await talk.call("test_elicitation", {"message": "Who?"})
        assert first["resultType"] == "input_required"
        return
    talk.answers["elicitation/create"] = {"action": "accept", "content": {"username": "ann", "email": "a@b.c"}}
    found = await talk.call("test_elicitation", {"message": "Who?"})
    assert '"username": "ann"' in found["content"][0]["text"]
    assert params(talk.heard[-1])["message"] == "Who?"


async def test_many_calls_at_once_each_get_their_own_answer(talk: Talk) -> None:
    uris = [f"test://template/{number}/data" for number in range(40)]
    found = await asyncio.gather(*(talk.result("resources/read", {"uri": uri}) for uri in uris))
    assert [one["contents"][0]["uri"] for one in found] == uris


async def test_equal_ids_of_two_clients_do_not_meet(talk: Talk) -> None:
    found = await asyncio.gather(
        *(talk.result("resources/read", {"uri": f"test://template/{n}/data"}, identifier="same") for n in range(10))
    )
    assert [one["contents"][0]["uri"] for one in found] == [f"test://template/{n}/data" for n in range(10)]


async def test_a_subscription_brings_its_notifications_under_the_clients_id(talk: Talk) -> None:
    if talk.conversation.era == "legacy":
        return
    listening = asyncio.create_task(
        talk.ask("subscriptions/listen", {"notifications": {"toolsListChanged": True}}, identifier="mine")
    )
    acknowledged = await talk.until("notifications/subscriptions/acknowledged")
    assert params(acknowledged)["_meta"]["io.modelcontextprotocol/subscriptionId"] == "mine"
    other = Talk(talk.conversation)
    await other.call("test_trigger_tool_change")
    changed = await talk.until("notifications/tools/list_changed")
    assert params(changed)["_meta"]["io.modelcontextprotocol/subscriptionId"] == "mine"
    listening.cancel()
    with pytest.raises(asyncio.CancelledError):
        await listening


@pytest.mark.parametrize("kind", KINDS)
async def test_a_subscription_ends_when_nobody_leases_its_upstream(kind: str, pool: Pool) -> None:
    async with spec_of(kind, "modern") as spec:
        lease = pool.lease([spec])
        talk = Talk(await lease[spec].modern())
        listening = asyncio.create_task(talk.ask("subscriptions/listen", {"notifications": {}}))
        await talk.until("notifications/subscriptions/acknowledged")
        lease.release()
        with pytest.raises(Unreachable):
            await asyncio.wait_for(listening, 10)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("era", ["legacy", "modern", "dual"])
async def test_the_eras_of_a_server_are_found_out(kind: str, era: str, pool: Pool) -> None:
    async with spec_of(kind, era) as spec:
        lease = pool.lease([spec])
        upstream: McpUpstream = lease[spec]
        expected = {"dual": {"legacy", "modern"}}.get("dual" if kind == "sse" else era, {era})
        assert await upstream.eras() == expected
        for spoken in expected:
            conversation = await (upstream.legacy(hello()) if spoken == "legacy" else upstream.modern())
            assert (await Talk(conversation).result("tools/list"))["tools"]
        lease.release()


async def test_a_pinned_era_is_not_asked_about(pool: Pool) -> None:
    async with spec_of("http", "dual", protocol="legacy") as spec:
        upstream = pool.lease([spec])[spec]
        assert await upstream.eras() == {"legacy"}
        assert upstream.health.state == "onDemand"
