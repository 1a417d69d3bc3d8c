"""Leases: what is unchanged survives a reload, what changed is replaced, what nobody needs ends after its work."""

import asyncio
import json
from dataclasses import replace

import pytest
from tests.contracts.mcp_servers import Talk, hello, until
from tests.fakes.mcp_http import Exchange, legacy_server

from portico.net.errors import Rejected, Unreachable
from portico.upstream.mcp.upstream import McpSpec

pytestmark = pytest.mark.anyio


def spec_for(port: int, **more) -> McpSpec:
    named = {"tenant": "t", "document": "d", "name": "remote", "protocol": "legacy", **more}
    return McpSpec(kind="http", url=f"http://127.0.0.1:{port}/mcp", **named)


async def test_an_equal_spec_keeps_its_upstream_and_a_changed_one_does_not(pool) -> None:
    spec = spec_for(1)
    first = pool.lease([spec])
    second = pool.lease([replace(spec), replace(spec, name="other"), replace(spec, timeout=61)])
    assert second[spec] is first[spec]
    assert len({id(upstream) for upstream in second.values()}) == 3
    assert second.named("t", "d", "other") is second[replace(spec, name="other")]
    first.release()
    first.release()
    assert [found for found, _ in pool.health()] == [spec, replace(spec, name="other"), replace(spec, timeout=61)]
    second.release()
    assert pool.health() == []


async def test_leasing_starts_nothing_but_what_is_to_run_from_the_start(pool) -> None:
    async with legacy_server() as server:
        lazy, eager = spec_for(server.port), spec_for(server.port, name="eager", start="atStart")
        lease = pool.lease([lazy, eager])
        await until(lambda: lease[eager].health.state == "serving")
        assert lease[lazy].health.state == "onDemand"
        assert server.made == 1


async def test_what_is_under_way_ends_before_its_upstream_does(pool) -> None:
    may_answer = asyncio.Event()

    async def act(exchange: Exchange) -> bool:
        if exchange.tool == "slow":
            await asyncio.wait_for(may_answer.wait(), 5)
        return False

    async with legacy_server(act) as server:
        spec = spec_for(server.port)
        lease = pool.lease([spec])
        talk = Talk(await lease[spec].legacy(hello()))
        asking = asyncio.create_task(talk.call("slow"))
        await until(lambda: any(one.tool for one in server.seen))
        lease.release()
        await asyncio.sleep(0.1)
        assert "DELETE" not in server.methods()
        may_answer.set()
        assert (await asking)["content"]
        await until(lambda: "DELETE" in server.methods())
        with pytest.raises(Unreachable, match="configuration has changed"):
            await talk.call("say")


async def test_a_process_under_way_is_waited_for_too(pool, stdio_spec) -> None:
    spec = stdio_spec()
    lease = pool.lease([spec])
    talk = Talk(await lease[spec].legacy(hello()))
    asking = asyncio.create_task(talk.ask("tools/call", {"name": "who"}))
    await asyncio.sleep(0)
    lease.release()
    assert b"pid" in (await asking).member
    with pytest.raises(Unreachable):
        await talk.call("say")


async def test_closing_the_pool_does_not_wait_for_what_a_reload_left_under_way(pool, stdio_spec) -> None:
    spec = stdio_spec()
    lease = pool.lease([spec])
    talk = Talk(await lease[spec].legacy(hello()))
    asking = asyncio.create_task(talk.call("hang"))
    await asyncio.sleep(0.1)
    lease.release()
    await asyncio.sleep(0.1)
    await asyncio.wait_for(pool.close(), 4)
    with pytest.raises(Unreachable):
        await asyncio.wait_for(asking, 1)


async def test_a_url_that_cannot_be_called_leases_nothing(pool) -> None:
    bad = McpSpec("t", "d", "bad", "http", url="ftp://example.com")
    with pytest.raises(Rejected, match="bad has a URL that cannot be called"):
        pool.lease([spec_for(1), bad])
    assert pool.health() == []


async def test_the_listing_says_how_each_fares(pool) -> None:
    spec = spec_for(1)
    upstream = pool.lease([spec])[spec]
    with pytest.raises(Unreachable):
        await upstream.legacy(hello())
    ((found, health),) = pool.health()
    assert found == spec
    assert (health.state, "refused" in health.reason) == ("down", True)
    assert json.dumps(health.reason)
