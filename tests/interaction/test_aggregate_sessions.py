"""A legacy session at an aggregate hears of the servers that it is shown, also of those that came with a reload."""

from pathlib import Path

import pytest
from tests.interaction.scripted import told
from tests.interaction.test_aggregate_subscriptions import CHANGED, UPDATED, a_second_server, hears, scene

pytestmark = pytest.mark.anyio


@pytest.fixture(params=["legacy", "modern"])
def server_era(request: pytest.FixtureRequest) -> str:
    return request.param


async def test_every_session_hears_of_a_server_that_a_reload_adds_whoever_fetched_its_lists(
    tmp_path: Path, server_era: str
) -> None:
    async with scene(tmp_path, server_era) as found:
        clients = [await found.gateway.open(path="/all") for _ in range(2)]
        streams = [await client.get_stream() for client in clients]
        a_second_server(found.document)
        await found.publish()
        for client, stream in zip(clients, streams, strict=True):
            await told(stream, CHANGED)
            listed = (await client.request("tools/list")).result["tools"]
            assert [tool["name"] for tool in listed if tool["name"].startswith("q_")]
        assert found.two.server is not None
        asked = [one for one in found.two.server.seen if one.message.get("method") == "tools/list"]
        assert len(asked) == 1, "the second is shown what the first fetched"
        for stream in streams:
            await hears(stream, found.two, CHANGED)
            stream.abort()


async def test_a_session_is_told_of_a_resource_by_the_name_that_a_reload_gave_it(
    tmp_path: Path, server_era: str
) -> None:
    async with scene(tmp_path, server_era) as found:
        client = await found.gateway.open(path="/all")
        stream = await client.get_stream()
        await client.request("tools/list")
        found.document.server["include"][0]["prefix"] = "q_"
        await found.publish()
        await told(stream, CHANGED)
        renamed = "docs://q_/guide"
        assert (await client.request("resources/subscribe", {"uri": renamed})).status == 200
        assert (await hears(stream, found.one, UPDATED, {"uri": "docs://guide"}))["uri"] == renamed
        stream.abort()
