"""Every place where a name or URI of an included server stands, through the front door: what the client says, what the
server hears, what the server says, and what the client hears. For clients of both eras and servers of both eras.
"""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from tests.interaction.scripted import FOLDED, LISTS, LONG, Asking, asking, told

from portico.wire.headers import decode_value

pytestmark = pytest.mark.anyio

LINK = {"type": "resource_link", "uri": "docs://guide", "name": "guide"}
PUBLIC_LINK = LINK | {"uri": "docs://p_/guide"}
EMBEDDED = {"type": "resource", "resource": {"uri": "urn:isbn:1", "text": "docs://kept"}}
PUBLIC_EMBEDDED = {"type": "resource", "resource": {"uri": "urn:p_:isbn:1", "text": "docs://kept"}}
TEXT = {"type": "text", "text": "See docs://guide."}
DONE = {"completion": {"values": ["docs://kept"]}}


@dataclass(frozen=True)
class Row:
    """`public` params become `own` ones at the server, and what is `said` there is `shown` to the client."""

    method: str
    public: dict[str, Any]
    own: dict[str, Any] | None = None
    said: dict[str, Any] = field(default_factory=dict)
    shown: dict[str, Any] = field(default_factory=dict)


def call(public: str, own: str, content: list[Any], shown: list[Any], **more: Any) -> Row:
    arguments = {"uri": "docs://p_/kept", "name": "p_look"}
    return Row(
        "tools/call",
        {"name": public, "arguments": arguments},
        {"name": own, "arguments": arguments},
        {"content": content, **more},
        {"content": shown},
    )


def read(public: str, own: str) -> Row:
    said = [{"uri": own, "text": "docs://kept"}, {"uri": f"{own}/part", "blob": "AAAA"}]
    shown = [{"uri": public, "text": "docs://kept"}, {"uri": f"{public}/part", "blob": "AAAA"}]
    return Row("resources/read", {"uri": public}, {"uri": own}, {"contents": said}, {"contents": shown})


def got(content: Any, shown: Any) -> Row:
    arguments = {"who": "docs://p_/kept"}
    return Row(
        "prompts/get",
        {"name": "p_gr__e", "arguments": arguments},
        {"name": "grüße", "arguments": arguments},
        {"messages": [{"role": "user", "content": content}]},
        {"messages": [{"role": "user", "content": shown}]},
    )


def completed(public: dict[str, str], own: dict[str, str]) -> Row:
    argument = {"argument": {"name": "who", "value": "docs://kept"}}
    return Row("completion/complete", {"ref": public, **argument}, {"ref": own, **argument}, DONE, DONE)


def listed(method: str, key: str, *shown: dict[str, Any]) -> Row:
    """Each entry with these members instead of its server's."""
    (entries,) = LISTS[method].values()
    return Row(method, {}, shown={key: [entry | other for entry, other in zip(entries, shown, strict=True)]})


ROWS = {
    "tools": listed(
        "tools/list",
        "tools",
        {
            "name": "p_look",
            "_meta": {"ui": {"resourceUri": "ui://p_/panel"}, "ui/resourceUri": "ui://p_/panel", "uri": "docs://kept"},
        },
        {"name": "p_a_b"},
        {"name": FOLDED},
    ),
    "prompts": listed("prompts/list", "prompts", {"name": "p_gr__e"}),
    "resources": listed(
        "resources/list",
        "resources",
        {"uri": "docs://p_/guide"},
        {"uri": "urn:p_:isbn:1"},
        {"uri": "/p_/notes/today"},
        {"uri": "ui://p_/panel"},
    ),
    "templates": listed("resources/templates/list", "resourceTemplates", {"uriTemplate": "docs://p_/user/{id}"}),
    "a call": call("p_look", "look", [TEXT], [TEXT], structuredContent={"uri": "docs://kept"}),
    "a call of an unusual name": call("p_a_b", "a.b", [TEXT], [TEXT]),
    "a call of a long name": call(FOLDED, LONG, [TEXT], [TEXT]),
    "a link": call("p_look", "look", [LINK, TEXT], [PUBLIC_LINK, TEXT]),
    "an embedded resource": call("p_look", "look", [EMBEDDED], [PUBLIC_EMBEDDED]),
    "the page of an answer": Row(
        "tools/call",
        {"name": "p_look", "arguments": {}},
        {"name": "look", "arguments": {}},
        {"content": [], "_meta": {"ui": {"resourceUri": "ui://panel"}}},
        {"content": []},
    ),
    "a prompt": got(TEXT, TEXT),
    "a prompt with a link": got(LINK, PUBLIC_LINK),
    "a prompt with a resource": got(EMBEDDED, PUBLIC_EMBEDDED),
    "a listed resource": read("docs://p_/guide", "docs://guide"),
    "a resource of a template": read("docs://p_/user/7%20a", "docs://user/7%20a"),
    "a resource that no list has": read("docs://p_/other/x", "docs://other/x"),
    "an opaque resource": read("urn:p_:isbn:1", "urn:isbn:1"),
    "a relative resource": read("/p_/notes/today", "notes/today"),
    "a page of an app": read("ui://p_/panel", "ui://panel"),
    "completion of a prompt": completed(
        {"type": "ref/prompt", "name": "p_gr__e"}, {"type": "ref/prompt", "name": "grüße"}
    ),
    "completion of a template": completed(
        {"type": "ref/resource", "uri": "docs://p_/user/{id}"}, {"type": "ref/resource", "uri": "docs://user/{id}"}
    ),
}


ERAS = [(server, client) for server in ("legacy", "modern") for client in ("legacy", "modern")]


@pytest.fixture(scope="module", params=ERAS, ids=[f"{client}-client-{server}-server" for server, client in ERAS])
async def pair(
    anyio_backend: str, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Asking]:
    async with asking(tmp_path_factory.mktemp("rewritten"), *request.param) as found:
        yield found


@pytest.mark.parametrize("row", ROWS.values(), ids=ROWS)
async def test_each_place_is_the_servers_own_there_and_public_here(pair: Asking, row: Row) -> None:
    pair.script.said = {row.method: row.said}
    # The second time by the short way, where there is one.
    for _ in range(2):
        reply = await pair.ask(row.method, row.public)
        assert {key: reply.result[key] for key in row.shown} == row.shown
        meta = reply.result.get("_meta", {})
        if "_meta" in row.said:
            assert meta["ui"] == {"resourceUri": "ui://p_/panel"}
        if row.own is not None:
            check_the_server(pair, row)


def check_the_server(pair: Asking, row: Row) -> None:
    exchange = pair.at_server(row.method)
    heard = {key: value for key, value in exchange.message["params"].items() if key != "_meta"}
    assert heard == row.own
    if pair.script.era == "modern" and row.method != "completion/complete":
        assert row.own is not None
        named = decode_value(exchange.headers["mcp-name"].encode())
        assert named == row.own.get("name", row.own.get("uri"))
        assert exchange.headers["mcp-method"] == row.method


async def test_the_uri_of_an_error_is_public(pair: Asking) -> None:
    pair.script.said = {"resources/read": {}}
    code = -32002 if pair.script.era == "legacy" else -32602
    pair.script.error = {"code": code, "message": "No docs://guide.", "data": {"uri": "docs://guide", "more": 1}}
    try:
        error = (await pair.ask("resources/read", {"uri": "docs://p_/guide"})).json["error"]
    finally:
        pair.script.error = None
    assert error["data"] == {"uri": "docs://p_/guide", "more": 1}


@pytest.mark.parametrize("name", ["look", "a.b", "p_", "p_p_look", "P_look"])
async def test_no_other_name_reaches_the_server(pair: Asking, name: str) -> None:
    assert pair.script.server is not None
    pair.script.said = {}
    pair.script.server.seen.clear()
    assert (await pair.ask("tools/call", {"name": name})).json["error"]["code"] == -32602
    assert "tools/call" not in pair.script.server.methods()


@pytest.mark.parametrize("uri", ["docs://guide", "docs://p_x/guide", "urn:isbn:1", "notes/today", "docs:p_:guide"])
async def test_no_other_uri_reaches_the_server(pair: Asking, uri: str) -> None:
    assert pair.script.server is not None
    pair.script.said = {"resources/read": {"contents": []}}
    pair.script.server.seen.clear()
    reply = await pair.ask("resources/read", {"uri": uri})
    if uri == "docs:p_:guide":
        # What a client computes leads to what its server would have called so.
        assert pair.at_server("resources/read").message["params"]["uri"] == "docs:guide"
    else:
        assert "Resource not found" in reply.json["error"]["message"]
        assert "resources/read" not in pair.script.server.methods()


async def test_updates_are_of_public_uris(tmp_path: Path, server_era: str, client_era: str) -> None:
    async with asking(tmp_path, server_era, client_era) as pair:
        await pair.ask("resources/list")
        stream = await pair.listen("docs://p_/guide", "docs://p_/user/7")
        assert subscriptions(pair) == {"docs://guide", "docs://user/7"}
        await can_be_told(pair)
        pair.script.tell("notifications/resources/updated", {"uri": "docs://unwanted"})
        pair.script.tell("notifications/resources/updated", {"uri": "docs://user/7"})
        params = await told(stream, "notifications/resources/updated")
        assert params["uri"] == "docs://p_/user/7"
        stream.abort()


async def can_be_told(pair: Asking) -> None:
    """The gateway has opened its stream at a legacy server, which it does beside everything else."""
    assert pair.script.server is not None
    async with asyncio.timeout(5):
        while pair.script.era == "legacy" and not pair.script.server.streams:  # noqa: ASYNC110 - the fake tells nobody.
            await asyncio.sleep(0)


def subscriptions(pair: Asking) -> set[str]:
    """What the server is asked to tell of."""
    script, server = pair.script, pair.script.server
    assert server is not None
    if script.era == "modern":
        wanted = [one.message["params"]["notifications"] for one in script.listening]
        return {uri for each in wanted for uri in each.get("resourceSubscriptions", [])}
    asked = [one.message for one in server.seen]
    return {one["params"]["uri"] for one in asked if one.get("method") == "resources/subscribe"}


@pytest.mark.parametrize("client_era", ["legacy"])
@pytest.mark.parametrize("server_era", ["legacy"])
async def test_what_is_told_ahead_of_an_answer_is_public_too(tmp_path: Path, server_era: str, client_era: str) -> None:
    async with asking(tmp_path, server_era, client_era) as pair:
        await pair.ask("tools/list")
        stream = await pair.listen("docs://p_/guide")
        pair.script.said = {"tools/call": {"content": []}}
        pair.script.ahead = [
            {"method": "notifications/resources/updated", "params": {"uri": "docs://guide"}},
            {"method": "notifications/tools/list_changed"},
        ]
        # By the short way, and by the general one.
        for more in ({}, {"_meta": {"progressToken": 1}}):
            assert (await pair.ask("tools/call", {"name": "p_look", "arguments": {}, **more})).status == 200
            assert (await told(stream, "notifications/resources/updated"))["uri"] == "docs://p_/guide"
            assert pair.script.server is not None
            pair.script.server.seen.clear()
            await pair.ask("tools/list")
            assert "tools/list" in pair.script.server.methods(), "what has changed is asked for anew"
        stream.abort()


async def test_cursors_are_ours(tmp_path: Path, server_era: str, client_era: str) -> None:
    async with asking(tmp_path, server_era, client_era, pageSize=2) as pair:
        first = (await pair.ask("tools/list")).result
        second = (await pair.ask("tools/list", {"cursor": first["nextCursor"]})).result
        assert [tool["name"] for tool in first["tools"] + second["tools"]] == ["p_look", "p_a_b", FOLDED]
        assert "nextCursor" not in second
        assert (await pair.ask("tools/list", {"cursor": "7"})).json["error"]["code"] == -32602
        assert pair.script.server is not None
        asked = [one.message for one in pair.script.server.seen if one.message.get("method") == "tools/list"]
        assert [one.get("params", {}).get("cursor") for one in asked] == [None]


@pytest.fixture(params=["legacy", "modern"])
def server_era(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(params=["legacy", "modern"])
def client_era(request: pytest.FixtureRequest) -> str:
    return request.param
