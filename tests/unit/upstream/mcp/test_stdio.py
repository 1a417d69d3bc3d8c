"""Stdio servers that fail in every way: each ends in an error that says who and why, and leaves nothing behind."""

import asyncio
import json
import os
import signal
import sys
from pathlib import Path

import pytest
from tests.contracts.mcp_servers import Talk, hello, until

from portico.net.errors import Rejected, TimedOut, Unreachable
from portico.upstream.mcp.upstream import McpSpec, McpUpstream
from portico.upstream.pool import Pool

pytestmark = pytest.mark.anyio


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()[0] != b"Z"
    except FileNotFoundError:
        return False


async def until_dead(pids: list[int], seconds: float) -> None:
    await until(lambda: not any(map(is_alive, pids)), seconds)


async def talk_to(pool: Pool, spec: McpSpec) -> tuple[McpUpstream, Talk]:
    upstream = pool.lease([spec])[spec]
    return upstream, Talk(await upstream.legacy(hello()))


async def pid_of(talk: Talk) -> int:
    return json.loads((await talk.call("who"))["content"][0]["text"])["pid"]


async def test_no_client_can_cancel_the_request_of_another(pool, stdio_spec, caplog) -> None:
    """Ids of clients mean nothing to a server that knows only ours."""
    _, talk = await talk_to(pool, stdio_spec())
    sent: list[bytes] = []
    talk.conversation._channel.send = lambda message, number: sent.append(message)
    await talk.conversation.notify("notifications/cancelled", b'{"requestId":2}')
    await talk.conversation.notify("notifications/roots/list_changed", None)
    assert sent == [b'{"jsonrpc":"2.0","method":"notifications/roots/list_changed"}']


async def test_arguments_arrive_and_nothing_of_the_environment_but_what_is_due(pool, stdio_spec) -> None:
    os.environ["UNDUE"] = "1"
    _, talk = await talk_to(pool, stdio_spec(env=(("KEY", "value"),)))
    found = json.loads((await talk.call("environment"))["content"][0]["text"])
    # Python adds LC_CTYPE by itself where no language is set.
    assert set(found) - {"LC_CTYPE"} == {"PATH", "HOME", "KEY"}
    found = await talk.call("say", {"": {}, "big": 12345678901234567890})
    assert json.loads(found["content"][0]["text"])["arguments"] == {"": {}, "big": 12345678901234567890}


async def test_what_it_says_arrives_to_the_last_digit(pool, stdio_spec) -> None:
    _, talk = await talk_to(pool, stdio_spec())
    raw = '{"n":1234567890123456789012345.0100e+2,"a\\u0062":[1.0,1],  "_meta":{"x":null}}'
    outcome = await talk.ask("tools/call", {"name": "raw", "arguments": {"raw": raw}})
    assert outcome.member == b'"result":' + raw.encode()


async def test_a_line_end_inside_params_does_not_end_the_message(pool, stdio_spec) -> None:
    _, talk = await talk_to(pool, stdio_spec())
    spaced = b'{"name":"say",\r"arguments":\n{"a":\r\n1}}'
    deadline = asyncio.get_running_loop().time() + 5
    outcome = await talk.conversation.request("tools/call", spaced, identifier=1, deadline=deadline)
    assert rb"\"a\": 1" in outcome.member


async def test_a_server_that_exits_fails_its_calls_with_its_last_words_and_comes_back(pool, stdio_spec) -> None:
    upstream, talk = await talk_to(pool, stdio_spec())
    with pytest.raises(Unreachable, match=r"files \(.*\) is gone: it exited with status 3; it said: I have had enough"):
        await talk.call("exit")
    assert upstream.health.state == "down"
    assert "exited with status 3" in upstream.health.reason
    await talk.until("portico/reconnected")
    assert upstream.health.state == "serving"
    assert await pid_of(talk)


async def test_a_call_right_after_the_end_waits_for_the_new_start(pool, stdio_spec) -> None:
    _, talk = await talk_to(pool, stdio_spec())
    with pytest.raises(Unreachable):
        await talk.call("exit")
    assert await pid_of(talk)


async def test_a_killed_server_is_named_with_its_signal(pool, stdio_spec) -> None:
    _, talk = await talk_to(pool, stdio_spec())
    pid = await pid_of(talk)
    hanging = asyncio.create_task(talk.call("hang"))
    await asyncio.sleep(0.1)
    os.kill(pid, signal.SIGKILL)
    with pytest.raises(Unreachable, match="it was killed by SIGKILL"):
        await asyncio.wait_for(hanging, 2)


async def test_a_server_that_cannot_start_says_why(pool, stdio_spec) -> None:
    spec = stdio_spec("broken")
    upstream = pool.lease([spec])[spec]
    with pytest.raises(Unreachable, match="exited with status 7; it said: cannot find my configuration"):
        await asyncio.wait_for(upstream.legacy(hello()), 5)
    assert upstream.health.state == "down"


async def test_a_command_that_is_not_there_is_named(pool, stdio_spec) -> None:
    spec = McpSpec("default", "d", "files", "stdio", command="no-such-command", protocol="legacy")
    with pytest.raises(Unreachable, match=r"files \(no-such-command\).*cannot be run: No such file"):
        await asyncio.wait_for(pool.lease([spec])[spec].legacy(hello()), 5)


async def test_a_server_that_keeps_failing_is_started_ever_less_often(pool, stdio_spec) -> None:
    spec = stdio_spec("broken")
    upstream = pool.lease([spec])[spec]
    for _ in range(2):
        with pytest.raises(Unreachable):
            await asyncio.wait_for(upstream.legacy(hello()), 5)
    with pytest.raises(Unreachable):
        await asyncio.wait_for(upstream.legacy(hello()), 5)
    with pytest.raises(Unreachable, match=r"cannot find my configuration; it is started again in [34] s"):
        await asyncio.wait_for(upstream.legacy(hello()), 0.5)


async def test_a_server_that_hangs_at_the_start_is_given_up_in_time(pool, stdio_spec) -> None:
    spec = stdio_spec("deaf", start_timeout=1.0)
    with pytest.raises(TimedOut, match=r"files .* did not answer"):
        await asyncio.wait_for(pool.lease([spec])[spec].legacy(hello()), 2)


async def test_what_a_slow_start_says_is_the_reason_while_it_lasts(pool, stdio_spec) -> None:
    spec = stdio_spec("slow")
    upstream = pool.lease([spec])[spec]
    starting = asyncio.create_task(upstream.legacy(hello()))
    await until(lambda: upstream.health.reason == "downloading")
    assert upstream.health.state == "starting"
    await asyncio.wait_for(starting, 5)
    assert upstream.health.state == "serving"


async def test_a_call_that_hangs_ends_at_its_deadline_and_others_do_not_notice(pool, stdio_spec) -> None:
    _, talk = await talk_to(pool, stdio_spec())
    with pytest.raises(TimedOut, match=r"files .* did not answer before the deadline"):
        await asyncio.wait_for(talk.ask("tools/call", {"name": "hang"}, timeout=0.3), 1.3)
    assert await pid_of(talk)


async def test_garbage_foreign_ids_and_double_answers_are_harmless(pool, stdio_spec, caplog) -> None:
    _, talk = await talk_to(pool, stdio_spec())
    assert (await talk.call("garbage"))["content"][0]["text"] == "after garbage"
    assert (await talk.call("foreign"))["content"][0]["text"] == "own"
    assert await pid_of(talk)
    assert "wrote what is no JSON-RPC: this is no JSON" in caplog.text
    assert "answered a request that it was never sent, with the id 424242" in caplog.text


async def test_a_flood_on_standard_error_is_drained_and_bounded(pool, stdio_spec, caplog) -> None:
    caplog.set_level("INFO", "portico.upstream")
    _, talk = await talk_to(pool, stdio_spec())
    assert (await talk.call("flood"))["content"][0]["text"] == "flooded"
    assert 0 < sum("line " in record.getMessage() for record in caplog.records) <= 50


async def test_an_answer_of_100_mb_fails_its_call_alone(pool, stdio_spec) -> None:
    _, talk = await talk_to(pool, stdio_spec())
    with pytest.raises(Rejected, match=r"files .* answered with more than 4194304 bytes"):
        await asyncio.wait_for(talk.call("huge"), 10)
    assert await pid_of(talk)


async def test_a_server_that_closes_its_output_is_gone(pool, stdio_spec) -> None:
    upstream, talk = await talk_to(pool, stdio_spec())
    with pytest.raises(Unreachable, match="it closed its output"):
        await asyncio.wait_for(talk.call("close"), 3)
    assert upstream.health.state == "down"


async def test_secrets_of_its_environment_are_not_repeated(pool, stdio_spec, caplog) -> None:
    caplog.set_level("INFO", "portico.upstream")
    _, talk = await talk_to(pool, stdio_spec(env=(("KEY", "hunter2hunter2"),)))
    with pytest.raises(Unreachable, match="my key is REDACTED"):
        await talk.call("secret")
    assert "hunter2" not in caplog.text


@pytest.mark.parametrize("trait", ["strict", "silent", "plain"])
async def test_a_legacy_server_is_known_by_whatever_it_makes_of_the_modern_question(pool, stdio_spec, trait) -> None:
    spec = stdio_spec(trait, protocol="auto", start_timeout=2.0)
    upstream = pool.lease([spec])[spec]
    assert await asyncio.wait_for(upstream.eras(), 10) == {"legacy"}
    assert await pid_of(Talk(await upstream.legacy(hello())))


async def test_stopping_ends_the_whole_tree(pool, stdio_spec) -> None:
    spec = stdio_spec()
    lease = pool.lease([spec])
    talk = Talk(await lease[spec].legacy(hello()))
    family = json.loads((await talk.call("family"))["content"][0]["text"])
    assert all(map(is_alive, family))
    lease.release()
    await until_dead(family, 4)


async def test_a_server_that_ignores_everything_is_killed(pool, stdio_spec) -> None:
    spec = stdio_spec("stubborn")
    lease = pool.lease([spec])
    pid = await pid_of(Talk(await lease[spec].legacy(hello())))
    lease.release()
    await until_dead([pid], 7)


async def test_children_of_a_server_that_exited_do_not_stay(pool, stdio_spec) -> None:
    _, talk = await talk_to(pool, stdio_spec())
    family = json.loads((await talk.call("family"))["content"][0]["text"])
    with pytest.raises(Unreachable):
        await talk.call("exit")
    await until_dead(family, 2)


GATEWAY = """
import asyncio, json, os, sys
from portico.net.egress import Egress
from portico.net.http_client import HttpClient
from portico.upstream.mcp.upstream import Hello, McpSpec
from portico.upstream.pool import Pool

async def main():
    pool = Pool(HttpClient(Egress.parse("any")))
    spec = McpSpec("t", "d", "n", "stdio", command=sys.executable, args=tuple(sys.argv[1:]), protocol="legacy")
    conversation = await pool.lease([spec])[spec].legacy(Hello("2025-11-25", b"{}", b""))
    deadline = asyncio.get_running_loop().time() + 10
    outcome = await conversation.request("tools/call", b'{"name":"family"}', identifier=1, deadline=deadline)
    result = json.loads(b"{" + outcome.member + b"}")["result"]
    print(result["content"][0]["text"], flush=True)
    await asyncio.sleep(600)

asyncio.run(main())
"""


async def test_nothing_outlives_a_gateway_that_was_killed() -> None:
    fake = str(Path(__file__).parents[3] / "fakes" / "mcp_stdio.py")
    gateway = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", GATEWAY, fake, "stubborn"), stdout=asyncio.subprocess.PIPE
    )
    assert gateway.stdout is not None
    family = json.loads(await asyncio.wait_for(gateway.stdout.readline(), 15))
    assert all(map(is_alive, family))
    gateway.kill()
    await gateway.wait()
    await until_dead(family, 2)


async def test_idle_processes_stop_and_start_again_when_asked(pool, stdio_spec) -> None:
    spec = stdio_spec(idle_timeout=0.3)
    upstream = pool.lease([spec])[spec]
    conversation = await upstream.legacy(hello())
    pid = await pid_of(Talk(conversation))
    conversation.release()
    await until_dead([pid], 3)
    assert upstream.health.state == "onDemand"
    assert await pid_of(Talk(await upstream.legacy(hello()))) != pid


async def test_an_owned_conversation_ends_with_its_owner(pool, stdio_spec) -> None:
    spec = stdio_spec(session="perClient")
    upstream = pool.lease([spec])[spec]
    mine, yours = await upstream.legacy(hello("me")), await upstream.legacy(hello("you"))
    pids = [await pid_of(Talk(mine)), await pid_of(Talk(yours))]
    assert pids[0] != pids[1]
    mine.release()
    await until_dead(pids[:1], 3)
    assert is_alive(pids[1])


async def test_conversations_that_break_together_are_one_failure(pool, stdio_spec) -> None:
    spec = stdio_spec(session="perClient")
    upstream = pool.lease([spec])[spec]
    talks = [Talk(await upstream.legacy(hello(f"client-{number}"))) for number in range(6)]
    for pid in [await pid_of(talk) for talk in talks]:
        os.kill(pid, signal.SIGKILL)
    await asyncio.gather(*(talk.until("portico/reconnected") for talk in talks))
    assert upstream.health.state == "serving"
