"""What an included server is told of each client, what clients are told instead of what it says, and what becomes of
both when the document changes.
"""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from tests.fakes.mcp_http import Exchange
from tests.fakes.telling import until
from tests.interaction.scripted import Asking, asking, document, told

pytestmark = pytest.mark.anyio

CHANGED = "notifications/tools/list_changed"
CALL = {"name": "p_look", "arguments": {}}


@pytest.fixture(params=["legacy", "modern"])
def server_era(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(params=["legacy", "modern"])
def client_era(request: pytest.FixtureRequest) -> str:
    return request.param


def seen(pair: Asking, method: str) -> list[Exchange]:
    assert pair.script.server is not None
    return [one for one in pair.script.server.seen if one.message.get("method") == method]


async def names(pair: Asking) -> list[str]:
    return [tool["name"][:8] for tool in (await pair.ask("tools/list")).result["tools"]]


async def test_a_forwarded_header_goes_with_lists_and_calls_and_keeps_clients_apart(
    tmp_path: Path, server_era: str, client_era: str
) -> None:
    options = {"forward": {"headers": ["X-Tenant"]}}
    async with asking(tmp_path, server_era, client_era, server=options) as pair:
        pair.script.said = {"tools/call": {"content": []}}
        for tenant in ("red", "blue", "red"):
            headers: dict[str, str | None] = {"X-Tenant": tenant, "X-Other": "kept"}
            await pair.ask("tools/list", headers=headers)
            assert (await pair.ask("tools/call", CALL, headers=headers)).status == 200
            call = seen(pair, "tools/call")[-1]
            assert call.headers["x-tenant"] == tenant
            assert "x-other" not in call.headers
        lists = [one.headers.get("x-tenant") for one in seen(pair, "tools/list")]
        assert [each for each in lists if each is not None] == ["red", "blue"]


async def test_who_lists_while_another_does_waits_for_the_same_answer(
    tmp_path: Path, server_era: str, client_era: str
) -> None:
    async with asking(tmp_path, server_era, client_era) as pair:
        server, answered = pair.script.server, asyncio.Event()
        assert server is not None
        assert len(await names(pair)) == 3
        stream = await pair.listen()
        await heard_by(pair)

        async def slowly(exchange: Exchange) -> bool | None:
            if exchange.message.get("method") == "tools/list":
                await answered.wait()
            return await pair.script.act(exchange)

        server.act = slowly
        pair.script.lists["tools/list"] = {"tools": [{"name": "new", "inputSchema": {"type": "object"}}]}
        asked = len(seen(pair, "tools/list"))
        pair.script.tell(CHANGED, {})
        await told(stream, CHANGED)
        first = asyncio.create_task(names(pair))
        await until(lambda: len(seen(pair, "tools/list")) > asked)
        second = asyncio.create_task(names(pair))
        done, _ = await asyncio.wait([second], timeout=0.3)
        assert not done, "nobody is given what does not hold any more"
        answered.set()
        assert await asyncio.gather(first, second) == [["p_new"], ["p_new"]]
        assert len(seen(pair, "tools/list")) == asked + 1
        stream.abort()


async def test_who_lists_after_a_change_is_not_given_what_was_asked_for_before(
    tmp_path: Path, server_era: str, client_era: str
) -> None:
    async with asking(tmp_path, server_era, client_era) as pair:
        server, answered = pair.script.server, asyncio.Event()
        assert server is not None
        await names(pair)
        stream = await pair.listen()
        await heard_by(pair)

        async def slowly(exchange: Exchange) -> bool | None:
            if exchange.message.get("method") != "tools/list":
                return await pair.script.act(exchange)
            listed = pair.script.lists["tools/list"]
            await answered.wait()
            exchange.result(listed | {"resultType": "complete"})
            return True

        server.act = slowly
        asked = len(seen(pair, "tools/list"))
        listing = []
        for name in ("once", "twice"):
            pair.script.lists["tools/list"] = {"tools": [{"name": name, "inputSchema": {"type": "object"}}]}
            pair.script.tell(CHANGED, {})
            await told(stream, CHANGED)
            listing.append(asyncio.create_task(names(pair)))
            await until(lambda: len(seen(pair, "tools/list")) > asked)
        await asyncio.wait(listing, timeout=0.3)
        answered.set()
        assert (await asyncio.gather(*listing))[1] == ["p_twice"]
        stream.abort()


async def heard_by(pair: Asking) -> None:
    """The gateway listens to what the server tells."""
    assert pair.script.server is not None
    await until(lambda: pair.script.listening or (pair.script.server and pair.script.server.streams))


async def test_a_server_for_each_client_gives_each_a_session_of_its_own(tmp_path: Path) -> None:
    async with asking(tmp_path, "legacy", "legacy", server={"session": "perClient"}) as pair:
        pair.script.said = {"tools/call": {"content": []}}
        clients = [pair.client, await pair.gateway.open(path="/all")]
        used = []
        for client in (*clients, *clients):
            pair.client = client
            assert len(await names(pair)) == 3
            assert (await pair.ask("tools/call", CALL)).status == 200
            used.append(seen(pair, "tools/call")[-1].headers["mcp-session-id"])
        assert used[:2] == used[2:]
        assert len(set(used)) == 2
        assert len(seen(pair, "tools/list")) == 2, "each client's list is its own"


async def test_what_the_document_says_instead_is_listed_and_the_server_hears_its_own(
    tmp_path: Path, server_era: str, client_era: str
) -> None:
    override = {
        "p_grüße": {"name": "hello", "title": "Say hello", "args": {"who": "Whom to greet", "nobody": "-"}},
        "p_look": {"description": "Look.", "annotations": {"readOnlyHint": True}},
    }
    async with asking(tmp_path, server_era, client_era, include={"override": override}) as pair:
        (prompt,) = (await pair.ask("prompts/list")).result["prompts"]
        assert prompt == {
            "name": "hello",
            "title": "Say hello",
            "arguments": [{"name": "who", "description": "Whom to greet"}],
        }
        tool = (await pair.ask("tools/list")).result["tools"][0]
        assert (tool["name"], tool["description"]) == ("p_look", "Look.")
        assert tool["annotations"] == {"readOnlyHint": True}
        pair.script.said = {"prompts/get": {"messages": []}, "completion/complete": {"completion": {"values": []}}}
        arguments = {"who": "Ada", "more": "kept"}
        assert (await pair.ask("prompts/get", {"name": "hello", "arguments": arguments})).status == 200
        assert heard(pair, "prompts/get") == {"name": "grüße", "arguments": arguments}
        reference = {"ref": {"type": "ref/prompt", "name": "hello"}, "argument": {"name": "who", "value": "A"}}
        context = {"context": {"arguments": {"more": "kept"}}}
        assert (await pair.ask("completion/complete", reference | context)).status == 200
        own = reference | {"ref": {"type": "ref/prompt", "name": "grüße"}}
        assert heard(pair, "completion/complete") == own | context


def heard(pair: Asking, method: str) -> dict[str, Any]:
    return {key: value for key, value in seen(pair, method)[-1].message["params"].items() if key != "_meta"}


@pytest.mark.parametrize(
    ("before", "after", "listed"),
    [
        ({"tools": ["look"]}, {}, ["p_look", "p_a_b", "p_llllll"]),
        ({}, {"tools": ["*", "!look"]}, ["p_a_b", "p_llllll"]),
        ({}, {"prefix": "q_"}, ["q_look", "q_a_b", "q_llllll"]),
        ({}, {"override": {"p_look": {"name": "see"}}}, ["see", "p_a_b", "p_llllll"]),
    ],
    ids=["more", "less", "another prefix", "another name"],
)
async def test_a_changed_include_is_told_and_served_without_asking_the_server_to_begin_again(
    tmp_path: Path, client_era: str, before: dict[str, Any], after: dict[str, Any], listed: list[str]
) -> None:
    async with asking(tmp_path, "legacy", client_era, include=before) as pair:
        pair.script.said = {"tools/call": {"content": []}}
        assert "p_look" in await names(pair)
        assert (await pair.ask("tools/call", CALL)).status == 200
        stream = await pair.listen()
        pair.gateway.write("all.json", document(pair.script, after, {}, {}))
        await pair.gateway.reload()
        await told(stream, CHANGED)
        assert await names(pair) == listed
        calls = len(seen(pair, "tools/call"))
        answer = (await pair.ask("tools/call", CALL)).json
        assert ("result" in answer) == ("p_look" in listed)
        assert len(seen(pair, "tools/call")) - calls == int("p_look" in listed)
        assert len(seen(pair, "initialize")) == 1
        stream.abort()
