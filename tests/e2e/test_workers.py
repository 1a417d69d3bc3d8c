"""Two workers, one truth: whatever lands on the worker that does not own it is handed over."""

import os
import signal
import stat
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

import anyio
import httpx
import pytest
from tests.e2e.conversation import (
    CALL_ID,
    LEGACY,
    Session,
    ask,
    connection,
    connection_to,
    eventually,
    listening,
    modern_request,
    result_of,
    shake_hands,
    sse,
    stream,
    worker_of,
)
from tests.e2e.processes import Demo, Gateway, demo, gateway, get, is_alive, write

pytestmark = [pytest.mark.e2e, pytest.mark.anyio, pytest.mark.timeout(120)]

DOCUMENT = """
version: 1
name: {name}
routers: [{{prefix: /{name}, server: {name}}}]
servers: [{{name: {name}}}]
resources: [{{uri: "test://{name}", name: {name}, text: hello}}]
tools:
  - name: wait
    description: Answers after some seconds.
    args: [{{name: seconds, in: query, type: number, default: 0}}]
    request: {{url: "{base}/slow"}}
{more}
"""
MORE = '  - {name: more, description: "One more tool.", request: {url: "http://127.0.0.1:9"}}'
CHANGED = "notifications/tools/list_changed"


def document(service: Demo, name: str = "a", more: str = "") -> str:
    return DOCUMENT.format(name=name, base=service.url, more=more)


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    with demo(tmp_path_factory.mktemp("demo")) as found:
        yield found


@pytest.fixture(scope="module")
def documents(tmp_path_factory: pytest.TempPathFactory, service: Demo) -> Path:
    directory = tmp_path_factory.mktemp("documents")
    for name in ("a", "b"):
        write(directory / f"{name}.yaml", document(service, name))
    return directory


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory, documents: Path) -> Iterator[Gateway]:
    """For tests that leave it as it was."""
    directory = tmp_path_factory.mktemp("gateway")
    with gateway(directory, documents, "--workers", "2", "--poll", "3600") as found:
        yield found


@dataclass
class Pair:
    """A session, a connection to the worker that owns it, and one to the worker that does not."""

    session: Session
    owner: httpx.AsyncClient
    other: httpx.AsyncClient
    stranger: str


async def pair(running: Gateway, stack: AsyncExitStack) -> Pair:
    url = f"{running.url}/a/mcp"
    owner = await stack.enter_async_context(connection())
    session = await shake_hands(owner, url)
    (stranger,) = running.pids().keys() - {session.worker}
    other = await connection_to(url, stranger)
    stack.push_async_callback(other.aclose)
    return Pair(session, owner, other, stranger)


@pytest.fixture
async def stack() -> AsyncIterator[AsyncExitStack]:
    async with AsyncExitStack() as found:
        yield found


@pytest.fixture
async def two(shared: Gateway, stack: AsyncExitStack) -> Pair:
    return await pair(shared, stack)


# Hand-over ------------------------------------------------------------------------------------------------------------


async def test_a_sessions_request_is_answered_by_its_owner_wherever_it_lands(two: Pair) -> None:
    assert worker_of(await ask(two.other, two.session.url, "tools/list")) == two.stranger
    for http in (two.owner, two.other):
        result = await two.session.ask(http, "tools/call", {"name": "wait"})
        assert worker_of(result) == two.session.worker
        assert result["structuredContent"] == {"seconds": 0}


async def test_initialize_may_land_anywhere_and_the_session_id_names_its_worker(shared: Gateway, two: Pair) -> None:
    session = await shake_hands(two.other, two.session.url)
    assert session.worker == two.stranger
    assert worker_of(await session.ask(two.owner, "tools/list")) == two.stranger


async def test_a_standing_stream_on_the_other_worker_carries_the_sessions_messages(
    shared: Gateway, documents: Path, service: Demo, two: Pair
) -> None:
    before = shared.figure("portico_streams")
    async with two.session.standing(two.other) as events:
        try:
            write(documents / "a.yaml", document(service, more=MORE))
            await anyio.to_thread.run_sync(shared.reload)
            first = await events.next()
            assert first.message["method"] == CHANGED
        finally:
            write(documents / "a.yaml", document(service))
            await anyio.to_thread.run_sync(shared.reload)
    # The client is gone, and so is the stream at its owner: the relay passes that on as well.
    await eventually(lambda: shared.figure("portico_streams") == before, "the end of the stream")
    # What was said meanwhile is waiting, after the event that the client saw last.
    async with two.session.standing(await fresh(two), last=first.identifier) as events:
        assert (await events.message())["method"] == CHANGED


async def fresh(two: Pair) -> httpx.AsyncClient:
    """Another connection to the worker that does not own the session; its stream has closed the last one."""
    two.other = await connection_to(two.session.url, two.stranger)
    return two.other


async def test_a_stream_of_an_answer_on_the_other_worker_carries_progress_and_the_answer(two: Pair) -> None:
    body = two.session.body(
        "tools/call", {"name": "wait", "arguments": {"seconds": 1.5}, "_meta": {"progressToken": "p"}}
    )
    async with stream(two.other, "POST", two.session.url, json=body, headers=two.session.headers) as events:
        progress, answer = await events.rest()
    assert (progress["method"], progress["params"]["progressToken"]) == ("notifications/progress", "p")
    assert worker_of(answer["result"]) == two.session.worker


@pytest.mark.parametrize("call_on", ["owner", "other"])
@pytest.mark.parametrize("cancel_on", ["owner", "other"])
async def test_a_cancellation_reaches_the_call_wherever_both_land(
    service: Demo, stack: AsyncExitStack, two: Pair, call_on: str, cancel_on: str
) -> None:
    seconds = {"other-other": 41, "other-owner": 42, "owner-other": 43, "owner-owner": 44}[f"{call_on}-{cancel_on}"]
    worker = two.session.worker if call_on == "owner" else two.stranger
    http = await connection_to(two.session.url, worker)
    stack.push_async_callback(http.aclose)
    answers: list[httpx.Response] = []

    async def call() -> None:
        body = two.session.body("tools/call", {"name": "wait", "arguments": {"seconds": seconds}}, identifier=77)
        answers.append(await two.session.post(http, body))

    def dropped() -> bool:
        lines = service.journal(lambda line: line["query"] == f"seconds={seconds}")
        return [line["outcome"] for line in lines] == ["disconnected"]

    async with anyio.create_task_group() as group:
        group.start_soon(call)
        told = getattr(two, cancel_on)

        async def cancel() -> bool:
            """The call may not have arrived yet, and what names no call is ignored."""
            answer = await two.session.tell(told, "notifications/cancelled", {"requestId": 77})
            assert answer.status_code == 202
            return bool(answers)

        await eventually(cancel, "the answer of the cancelled call", within=5)
    assert answers[0].json()["error"]["message"] == "The call was cancelled by the client."
    # Where the cancellation won the race to the service, there is nothing to be dropped.
    if service.journal(lambda line: line["query"] == f"seconds={seconds}"):
        await eventually(dropped, "the upstream's connection is dropped", within=1)


async def test_a_cancelled_call_drops_its_upstream_connection_within_a_second(
    shared: Gateway, service: Demo, two: Pair
) -> None:
    """Here the call is known to be under way at the service; handed over both ways."""
    before = shared.figure("portico_in_flight")

    async def call() -> None:
        body = two.session.body("tools/call", {"name": "wait", "arguments": {"seconds": 50}}, identifier=78)
        async with connection() as http:
            await two.session.post(http, body)

    def dropped() -> bool:
        lines = service.journal(lambda line: line["query"] == "seconds=50")
        return [line["outcome"] for line in lines] == ["disconnected"]

    async with anyio.create_task_group() as group:
        group.start_soon(call)
        await eventually(lambda: shared.figure("portico_in_flight") > before, "the call is under way")
        await two.session.tell(two.other, "notifications/cancelled", {"requestId": 78})
        await eventually(dropped, "the upstream's connection is dropped", within=1)


async def test_delete_on_the_other_worker_ends_the_session_and_its_streams(stack: AsyncExitStack, two: Pair) -> None:
    http = await connection_to(two.session.url, two.session.worker)
    stack.push_async_callback(http.aclose)
    async with two.session.standing(http) as events:
        assert (await two.session.end(two.other)).status_code == 204
        assert await events.rest() == []
    for each in (two.owner, two.other):
        assert (await two.session.post(each, two.session.body("tools/list"))).status_code == 404


async def test_an_sse_conversation_whose_messages_land_on_the_other_worker(
    shared: Gateway, stack: AsyncExitStack, two: Pair
) -> None:
    url = f"{shared.url}/a/mcp"
    for owner in shared.pids():
        (stranger,) = shared.pids().keys() - {owner}
        stream_http, post_http = await connection_to(url, owner), await connection_to(url, stranger)
        stack.push_async_callback(stream_http.aclose)
        stack.push_async_callback(post_http.aclose)
        async with sse(stream_http, post_http, shared.url, "/a") as conversation:
            assert conversation.worker == owner
            result = await conversation.ask(post_http, "tools/call", {"name": "wait"}, 5)
            assert worker_of(result) == owner
            # A cancellation as well: the slow call is answered at once.
            slow = {"name": "wait", "arguments": {"seconds": 45}}
            body = {"jsonrpc": "2.0", "id": 6, "method": "tools/call", "params": slow}
            await conversation.send(post_http, body)
            cancel = {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 6}}
            await conversation.send(post_http, cancel)
            message = await conversation.events.message(within=5)
            assert (message["id"], "error" in message) == (6, True)
        await refuses(post_http, conversation.url)


async def refuses(http: httpx.AsyncClient, url: str) -> None:
    """The session that a URL names is not found, once its owner has noticed that the stream is closed."""

    async def gone() -> bool:
        message = {"jsonrpc": "2.0", "method": "notifications/initialized"}
        return (await http.post(url, json=message)).status_code == 404

    await eventually(gone, "the end of the session")


async def test_more_streams_than_connections_of_a_pool_can_be_handed_over(shared: Gateway, two: Pair) -> None:
    """What relayed streams use up must not be missing for the next request."""
    before = shared.figure("portico_streams")
    url = two.session.url
    async with AsyncExitStack() as stack:
        for _ in range(260):
            session = await shake_hands(two.owner, url)
            http = await connection_to(url, two.stranger)
            stack.push_async_callback(http.aclose)
            await stack.enter_async_context(session.standing(http))
        assert shared.figure("portico_streams") == before + 260
        assert worker_of(await two.session.ask(two.other, "tools/list")) == two.session.worker
    await eventually(lambda: shared.figure("portico_streams") == before, "the end of all streams")


# Session ids ----------------------------------------------------------------------------------------------------------


def forgeries(session: Session, other: Session, stranger: str) -> dict[str, str]:
    worker, nonce, mac = session.identifier.split(".")
    flipped = "A" if mac[0] != "A" else "B"
    return {
        "another worker": f"{stranger}.{nonce}.{mac}",
        "a worker that never was": f"{'0' * len(worker)}.{nonce}.{mac}",
        "a path": f"../{worker}.{nonce}.{mac}",
        "another nonce": f"{worker}.{other.identifier.split('.')[1]}.{mac}",
        "another mac": f"{worker}.{nonce}.{flipped}{mac[1:]}",
        "no mac": f"{worker}.{nonce}.",
        "only the worker": worker,
        "nothing": "x",
        "beyond ASCII": f"{worker}.{nonce}.\xe9",
    }


async def test_session_ids_cannot_be_forged_and_no_worker_is_asked_about_one(shared: Gateway, two: Pair) -> None:
    other = await shake_hands(two.owner, two.session.url)
    for what, identifier in forgeries(two.session, other, two.stranger).items():
        for http in (two.owner, two.other):
            headers = {"mcp-session-id": identifier.encode("latin-1"), "mcp-protocol-version": LEGACY}
            body = two.session.body("tools/list")
            answers = [
                await http.post(two.session.url, json=body, headers=headers),
                await http.delete(two.session.url, headers=headers),
                await http.post(f"{shared.url}/a/message", params={"sessionId": identifier}, json=body),
            ]
            assert [answer.status_code for answer in answers] == [404] * 3, what
            # This is what would be said had the worker that the id names been looked for.
            assert not any("is gone" in answer.text for answer in answers), what
    assert worker_of(await two.session.ask(two.other, "tools/list")) == two.session.worker


async def test_a_session_belongs_to_its_endpoint_on_every_worker(shared: Gateway, two: Pair) -> None:
    foreign = Session(f"{shared.url}/b/mcp", two.session.identifier)
    for http in (two.owner, two.other):
        assert (await foreign.post(http, foreign.body("tools/list"))).status_code == 404
        assert (await foreign.end(http)).status_code == 404
    assert worker_of(await two.session.ask(two.other, "tools/list")) == two.session.worker


async def test_an_sse_conversation_cannot_be_joined_with_a_session_of_the_other_transport(
    shared: Gateway, two: Pair
) -> None:
    for http in (two.owner, two.other):
        answer = await http.post(
            f"{shared.url}/a/message", params={"sessionId": two.session.identifier}, json=two.session.body("tools/list")
        )
        assert answer.status_code == 404


async def test_what_only_a_peer_may_say_is_nothing_on_the_public_listener(shared: Gateway, two: Pair) -> None:
    for question in ("figures", "status", "reload"):
        assert (await two.owner.post(f"{shared.url}/.portico/{question}", json={})).status_code == 404
    more = {"x-portico-client": "203.0.113.9", "x-portico-scheme": "https"}
    calls = set()
    for http in (two.owner, two.other):
        body, headers = two.session.body("tools/list"), {**two.session.headers, **more}
        calls.add(result_of(await http.post(two.session.url, json=body, headers=headers))["_meta"][CALL_ID])

    def clients() -> list[str]:
        return [line["client"] for line in shared.lines if line["call"] in calls]

    await eventually(lambda: len(clients()) == 2, "the lines of the access log")
    assert clients() == ["127.0.0.1"] * 2


# One gateway to the operator ------------------------------------------------------------------------------------------


async def test_figures_are_summed_over_the_workers(shared: Gateway, two: Pair) -> None:
    name = 'portico_call_duration_seconds_count{endpoint="/b",method="tools/list",name="",outcome="ok"}'
    url = f"{shared.url}/b/mcp"
    one, other = await connection_to(url, two.session.worker), await connection_to(url, two.stranger)
    for http, times in ((one, 3), (other, 4)):
        for _ in range(times):
            await ask(http, url, "tools/list")
        await http.aclose()

    def counted() -> float:
        lines = [line for line in get(f"{shared.admin}/metrics").text.splitlines() if line.startswith(name)]
        return float(lines[0].split()[-1])

    # Whichever worker is asked, the sum is the same.
    assert [counted() for _ in range(6)] == [7.0] * 6
    assert shared.figure("portico_workers") == 2
    assert shared.figure("portico_endpoints") == 2


async def test_sessions_and_streams_of_both_workers_are_counted(
    shared: Gateway, stack: AsyncExitStack, two: Pair
) -> None:
    sessions, streams = shared.figure("portico_sessions"), shared.figure("portico_streams")
    for http in (two.owner, two.other):
        await shake_hands(http, two.session.url)
    for worker in (two.session.worker, two.stranger):
        http = await connection_to(two.session.url, worker)
        stack.push_async_callback(http.aclose)
        await stack.enter_async_context(listening(http, two.session.url, worker, toolsListChanged=True))
    assert shared.figure("portico_sessions") == sessions + 2
    assert shared.figure("portico_streams") == streams + 2
    assert sum(worker["sessions"] for worker in shared.status()) == sessions + 2


def test_the_sockets_between_workers_are_for_this_user_alone(shared: Gateway) -> None:
    names = set(shared.pids())
    (directory,) = {path.parent for path in Path(tempfile.gettempdir()).glob("portico-*/*.sock") if path.stem in names}
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700
    sockets = list(directory.iterdir())
    assert {path.stem for path in sockets} == names
    assert {stat.S_IMODE(path.stat().st_mode) for path in sockets} == {0o600}


# The death of a worker ------------------------------------------------------------------------------------------------


@pytest.fixture
def running(tmp_path: Path, documents: Path) -> Iterator[Gateway]:
    with gateway(tmp_path, documents, "--workers", "2", "--poll", "3600") as found:
        yield found


async def test_a_killed_workers_neighbour_does_not_notice_and_its_sessions_are_gone(
    running: Gateway, stack: AsyncExitStack
) -> None:
    two = await pair(running, stack)
    pids = running.pids()
    neighbour = await shake_hands(two.other, two.session.url)
    calls = 0
    stop = False

    async def load() -> None:
        nonlocal calls
        http = await connection_to(two.session.url, two.stranger)
        while not stop:
            await ask(http, two.session.url, "tools/call", {"name": "wait"})
            await neighbour.ask(http, "tools/call", {"name": "wait"})
            calls += 1
        await http.aclose()

    relay = await connection_to(two.session.url, two.stranger)
    stack.push_async_callback(relay.aclose)
    async with anyio.create_task_group() as group, two.session.standing(relay) as relayed:
        for _ in range(3):
            group.start_soon(load)
        await eventually(lambda: calls > 10, "calls")
        os.kill(pids[two.session.worker], signal.SIGKILL)
        # Its streams end, also where they came by the neighbour, and its sessions are not found.
        assert await relayed.rest(within=5) == []
        answer = await two.session.post(two.other, two.session.body("tools/list"))
        assert answer.status_code == 404
        assert "initialize" in answer.text
        await eventually(lambda: not is_alive(pids[two.session.worker]), "the end of the worker", within=5)
        done = calls
        await eventually(lambda: len(running.pids()) == 2, "another worker", within=5)
        await eventually(lambda: calls > done, "calls go on")
        stop = True
    (new,) = running.pids().keys() - {two.stranger}
    assert new != two.session.worker
    # A client that starts anew is served, by the new worker too; the old session stays gone there.
    http = await connection_to(two.session.url, new)
    stack.push_async_callback(http.aclose)
    assert (await two.session.post(http, two.session.body("tools/list"))).status_code == 404
    assert (await shake_hands(http, two.session.url)).worker == new
    assert worker_of(await neighbour.ask(http, "tools/list")) == two.stranger
    assert f"worker {pids[two.session.worker]} ended with -9; starting another" in running.log


async def test_a_worker_that_comes_back_serves_what_is_acknowledged(
    tmp_path: Path, service: Demo, stack: AsyncExitStack
) -> None:
    directory = tmp_path / "documents"
    directory.mkdir()
    write(directory / "a.yaml", document(service))
    with gateway(tmp_path, directory, "--workers", "2", "--poll", "3600") as running:
        pids = running.pids()
        write(directory / "a.yaml", document(service, more=MORE))
        victim = next(iter(pids))
        os.kill(pids[victim], signal.SIGKILL)
        report = await anyio.to_thread.run_sync(running.reload)
        assert report["endpoints"] == ["/a"]
        await eventually(lambda: len(running.pids()) == 2, "another worker", within=5)
        for worker in running.pids():
            http = await connection_to(f"{running.url}/a/mcp", worker)
            stack.push_async_callback(http.aclose)
            tools = (await ask(http, f"{running.url}/a/mcp", "tools/list"))["tools"]
            assert [tool["name"] for tool in tools] == ["wait", "more"]


async def test_a_subscription_ends_with_its_worker_and_can_be_opened_again(
    running: Gateway, stack: AsyncExitStack
) -> None:
    url = f"{running.url}/a/mcp"
    pids = running.pids()
    victim = next(iter(pids))
    http = await connection_to(url, victim)
    stack.push_async_callback(http.aclose)
    async with listening(http, url, "l", toolsListChanged=True) as events:
        os.kill(pids[victim], signal.SIGKILL)
        with pytest.raises(httpx.TransportError):
            await events.rest(within=5)
    async with connection() as again, listening(again, url, "m", toolsListChanged=True) as events:
        assert events.response.status_code == 200


async def test_call_ids_are_unique_among_workers_and_found_in_the_log(shared: Gateway, two: Pair) -> None:
    results = [await two.session.ask(two.other, "tools/list"), await ask(two.other, two.session.url, "tools/list")]
    refused = await two.other.post(two.session.url, **modern_request("tools/call", {"name": "no_such_tool"}))
    identifiers = [result["_meta"][CALL_ID] for result in results]
    identifiers.append(refused.json()["error"]["data"]["callId"])
    assert len(set(identifiers)) == 3

    def logged() -> bool:
        return set(identifiers) <= {line["call"] for line in shared.lines}

    await eventually(logged, "each call in the access log")
