"""Changing documents under load: what clients see, what they never see, and what the operator is told."""

import os
import signal
import socket
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest
from tests.e2e.commands import run
from tests.e2e.conversation import (
    SUBSCRIPTION,
    Events,
    Session,
    ask,
    connection,
    eventually,
    listening,
    modern_request,
    result_of,
    shake_hands,
    sse,
)
from tests.e2e.processes import WAIT, Demo, Gateway, demo, gateway, write
from tests.fakes.ports import free_port

pytestmark = [pytest.mark.e2e, pytest.mark.anyio, pytest.mark.timeout(120)]

# The store is looked at every second, and a change must have been still for a moment; CI machines are slow.
SEEN = 2.0 + 1.0


def document(base: str, marker: object, prefix: str = "/a", tools: int = 1) -> str:
    """Two marks in each answer, one of them made when the request is sent and one when it is answered; the same mark
    in a resource; and `tools` tools that all work."""
    name = prefix.strip("/")
    tool = """
  - name: mark{number}
    description: Says which version of the document it belongs to.
    args: [{{name: seconds, in: query, type: number, default: 0}}]
    request: {{url: "{{{{ values.base }}}}/slow", headers: {{X-Marker: "{{{{ values.marker }}}}"}}}}
    response: {{body: {{marker: "{{{{ values.marker }}}}", waited: "{{{{ response.json.seconds }}}}"}}}}"""
    return f"""
version: 1
name: {name}
values: {{base: "{base}", marker: {marker}}}
routers: [{{prefix: {prefix}, server: {name}}}]
servers: [{{name: {name}}}]
resources: [{{uri: "test://marker", name: marker, text: "{marker}"}}]
tools:{"".join(tool.format(number=number or "") for number in range(tools))}
"""


CHANGED = "notifications/tools/list_changed"
CALL = {"name": "mark", "arguments": {}}


def marker_of(result: Mapping[str, Any]) -> Any:
    assert not result.get("isError"), result
    return result["structuredContent"]["marker"]


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    with demo(tmp_path_factory.mktemp("demo")) as found:
        yield found


@pytest.fixture
def documents(tmp_path: Path) -> Path:
    directory = tmp_path / "documents"
    directory.mkdir()
    return directory


@pytest.fixture
def running(tmp_path: Path, documents: Path, service: Demo) -> Iterator[Gateway]:
    """Two workers that look at the store on their own so rarely that every change a test sees was asked for."""
    write(documents / "a.yaml", document(service.url, 0))
    with gateway(tmp_path, documents, "--workers", "2", "--poll", "3600") as found:
        yield found


@pytest.fixture
async def http() -> AsyncIterator[httpx.AsyncClient]:
    async with connection() as found:
        yield found


async def reload(running: Gateway) -> dict[str, Any]:
    return await anyio.to_thread.run_sync(running.reload)


# Reload under load ----------------------------------------------------------------------------------------------------


class Load:
    """Calls without pause. Each must see the document that was acknowledged before it began, or a later one."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.acknowledged = 0
        self.calls: list[int] = []
        self.stop = False

    def judge(self, least: int, marker: Any) -> None:
        assert isinstance(marker, int)
        assert least <= marker <= self.acknowledged + 1
        self.calls.append(marker)

    async def modern(self) -> None:
        async with connection() as http:
            while not self.stop:
                least = self.acknowledged
                self.judge(least, marker_of(await ask(http, self.url, "tools/call", CALL)))

    async def legacy(self) -> None:
        """One session for all the reloads: it is never lost."""
        async with connection() as http:
            session = await shake_hands(http, self.url)
            while not self.stop:
                least = self.acknowledged
                self.judge(least, marker_of(await session.ask(http, "tools/call", CALL)))
                least = self.acknowledged
                content = (await session.ask(http, "resources/read", {"uri": "test://marker"}))["contents"]
                self.judge(least, int(content[0]["text"]))


class Told:
    """What one open stream was told."""

    def __init__(self) -> None:
        self.messages: list[dict[str, Any]] = []
        self.ended = False

    def count(self, method: str) -> int:
        return sum(message.get("method") == method for message in self.messages)

    async def read(self, events: Events) -> None:
        while True:
            try:
                self.messages.append(await events.message(within=120))
            except StopAsyncIteration:
                self.ended = True
                return


@pytest.mark.timeout(240)
async def test_a_hundred_reloads_under_load_fail_no_call_and_reach_every_session_and_stream(
    running: Gateway, documents: Path, service: Demo
) -> None:
    url = f"{running.url}/a/mcp"
    load = Load(url)
    told: list[Told] = []
    async with AsyncExitStack() as stack:
        streams: list[Events] = []
        for _ in range(4):
            http = await stack.enter_async_context(connection())
            session = await shake_hands(http, url)
            own = await stack.enter_async_context(connection())
            streams.append(await stack.enter_async_context(session.standing(own)))
        for _ in range(3):
            http = await stack.enter_async_context(connection())
            post = await stack.enter_async_context(connection())
            streams.append((await stack.enter_async_context(sse(http, post, running.url, "/a"))).events)
        for number in range(3):
            http = await stack.enter_async_context(connection())
            events = listening(http, url, f"listen-{number}", toolsListChanged=True)
            streams.append(await stack.enter_async_context(events))
        async with anyio.create_task_group() as group:
            for events in streams:
                told.append(Told())
                group.start_soon(told[-1].read, events)
            for _ in range(4):
                group.start_soon(load.modern)
                group.start_soon(load.legacy)
            for number in range(1, 101):
                # The list of tools changes each time too: one tool, two, one, two, …
                write(documents / "a.yaml", document(service.url, number, tools=1 + number % 2))
                report = await reload(running)
                assert report["workers"] == 2
                assert report["problems"] == []
                load.acknowledged = number
                enough = len(load.calls) + 8
                await eventually(lambda enough=enough: len(load.calls) >= enough, "calls after the acknowledgement")
            load.stop = True
            await eventually(lambda: all(each.count(CHANGED) >= 100 for each in told), "every stream is told")
            assert not any(each.ended for each in told)
            group.cancel_scope.cancel()
    assert set(load.calls) >= {1, 50, 100}
    assert [each.count(CHANGED) for each in told] == [100] * 10
    for number, each in enumerate(told[7:]):
        assert all(message["params"]["_meta"] == {SUBSCRIPTION: f"listen-{number}"} for message in each.messages)


async def test_a_request_sees_exactly_one_snapshot(
    running: Gateway, documents: Path, service: Demo, http: httpx.AsyncClient
) -> None:
    url = f"{running.url}/a/mcp"
    results: list[dict[str, Any]] = []
    slow = {"name": "mark", "arguments": {"seconds": 2}}

    async def call() -> None:
        results.append(await ask(http, url, "tools/call", slow))

    async with anyio.create_task_group() as group, connection() as other:
        before = running.figure("portico_in_flight")
        group.start_soon(call)
        await eventually(lambda: running.figure("portico_in_flight") > before, "the call is under way")
        write(documents / "a.yaml", document(service.url, 7))
        await reload(running)
        # The slow call is still on its way, and this one already sees what was loaded.
        assert marker_of(await ask(other, url, "tools/call", CALL)) == 7
        assert results == []
    assert marker_of(results[0]) == 0
    (line,) = service.journal(lambda line: line["path"] == "/slow" and line["query"] == "seconds=2")
    assert line["headers"]["x-marker"] == "0"


async def test_a_live_session_sees_a_new_tool_and_no_longer_a_removed_one(
    running: Gateway, documents: Path, service: Demo, http: httpx.AsyncClient
) -> None:
    session = await shake_hands(http, f"{running.url}/a/mcp")
    write(documents / "a.yaml", document(service.url, 1, tools=2))
    await reload(running)
    assert [tool["name"] for tool in (await session.ask(http, "tools/list"))["tools"]] == ["mark", "mark1"]
    assert marker_of(await session.ask(http, "tools/call", {"name": "mark1"})) == 1
    write(documents / "a.yaml", document(service.url, 2))
    await reload(running)
    answer = await session.post(http, session.body("tools/call", {"name": "mark1"}))
    assert answer.json()["error"]["message"].startswith("Unknown tool: mark1")


async def test_a_changed_resource_is_told_to_who_subscribed_in_both_eras(
    running: Gateway, documents: Path, service: Demo, http: httpx.AsyncClient
) -> None:
    url = f"{running.url}/a/mcp"
    session = await shake_hands(http, url)
    await session.ask(http, "resources/subscribe", {"uri": "test://marker"})
    async with (
        connection() as one,
        connection() as two,
        session.standing(one) as legacy,
        listening(two, url, "s", resourceSubscriptions=["test://marker"]) as modern,
    ):
        write(documents / "a.yaml", document(service.url, 1))
        await reload(running)
        told = await legacy.message(), await modern.message()
    assert [message["method"] for message in told] == ["notifications/resources/updated"] * 2
    assert [message["params"]["uri"] for message in told] == ["test://marker"] * 2
    assert told[1]["params"]["_meta"] == {SUBSCRIPTION: "s"}


# Ways to say that something changed -----------------------------------------------------------------------------------


@pytest.fixture
def watching(tmp_path: Path, documents: Path, service: Demo) -> Iterator[Gateway]:
    """Two workers as people start them: they look by themselves."""
    write(documents / "a.yaml", document(service.url, 0))
    with gateway(tmp_path, documents, "--workers", "2") as found:
        yield found


async def sees(url: str, marker: int | None, within: float, connections: int = 8) -> None:
    """Every worker answers with this marker, or, for None, has no such endpoint, in time."""

    async def seen(http: httpx.AsyncClient) -> Any:
        answer = await http.post(url, **modern_request("tools/call", CALL))
        return None if answer.status_code == 404 else marker_of(result_of(answer))

    async with AsyncExitStack() as stack:
        group = [await stack.enter_async_context(connection()) for _ in range(connections)]

        async def by_all() -> bool:
            return {await seen(http) for http in group} == {marker}

        await eventually(by_all, f"the marker {marker}", within)


async def test_a_changed_file_is_seen_within_two_seconds_without_any_command(
    watching: Gateway, documents: Path, service: Demo
) -> None:
    write(documents / "a.yaml", document(service.url, 1))
    await sees(f"{watching.url}/a/mcp", 1, SEEN)


async def test_a_missed_notification_is_repaired_by_the_next_poll(
    watching: Gateway, documents: Path, service: Demo
) -> None:
    """Nothing announces an edit by hand, which is as if every notification were lost."""
    (documents / "b.yaml").write_text(document(service.url, 5, prefix="/b"))
    await sees(f"{watching.url}/b/mcp", 5, SEEN)
    (documents / "b.yaml").unlink()
    await sees(f"{watching.url}/b/mcp", None, SEEN)


async def test_sighup_reloads_every_worker(running: Gateway, documents: Path, service: Demo) -> None:
    write(documents / "a.yaml", document(service.url, 3))
    running.process.send_signal(signal.SIGHUP)
    await sees(f"{running.url}/a/mcp", 3, WAIT)
    assert running.process.poll() is None


def test_the_reload_command_says_what_is_served_and_what_stands_against_documents(
    running: Gateway, documents: Path, service: Demo
) -> None:
    admin = running.admin.removeprefix("http://")
    write(documents / "b.yaml", document(service.url, 0, prefix="/b"))
    good = run("reload", "--admin", admin)
    assert (good.returncode, good.stdout) == (0, "Serving 2 endpoints by 2 workers: /a, /b.\n")
    write(documents / "b.yaml", "version: 1\nname: b\nserverz: []\n")
    bad = run("reload", "--admin", admin)
    assert bad.returncode == 1
    assert "b.yaml:3:1: error: " in bad.stdout
    assert "Serving 2 endpoints by 2 workers: /a, /b." in bad.stdout


def test_the_reload_command_says_when_nobody_answers() -> None:
    address = f"127.0.0.1:{free_port()}"
    done = run("reload", "--admin", address)
    assert done.returncode == 2
    assert address in done.stdout + done.stderr


# What can be wrong with a document ------------------------------------------------------------------------------------


def aliases() -> bytes:
    """1 MiB of YAML in which every line doubles the one before."""
    lines = ["a0: &a0 [x, x]"]
    for number in range(1, 40_000):
        lines.append(f"a{number}: &a{number} [*a{number - 1}, *a{number - 1}]")
    return "\n".join(lines).encode()[: 1024 * 1024]


def broken_yaml(path: Path, base: str) -> None:
    write(path, "version: 1\nname: [unclosed\n")


def wrong_schema(path: Path, base: str) -> None:
    write(path, document(base, 1, prefix="/b").replace("tools:", "toolz:"))


def billion_laughs(path: Path, base: str) -> None:
    write(path, aliases())


def not_utf8(path: Path, base: str) -> None:
    write(path, document(base, 1, prefix="/b").encode() + b"\n# \xff\xfe\n")


def too_large(path: Path, base: str) -> None:
    write(path, document(base, 1, prefix="/b") + "# " + "x" * 1024 * 1024)


def dangling_link(path: Path, base: str) -> None:
    path.unlink(missing_ok=True)
    path.symlink_to("nowhere.yaml")


def taken_prefix(path: Path, base: str) -> None:
    write(path, document(base, 1, prefix="/b").replace("prefix: /b", "prefix: /a"))


FAULTS: list[tuple[Callable[[Path, str], None], str]] = [
    (broken_yaml, "error"),
    (wrong_schema, "toolz"),
    (billion_laughs, "alias"),
    (not_utf8, "UTF-8"),
    (too_large, "larger than 1 MiB"),
    (dangling_link, "the link leads nowhere"),
    (taken_prefix, 'the prefix "/a" is taken by a.yaml'),
]


@pytest.mark.parametrize(("fault", "words"), FAULTS, ids=[fault.__name__ for fault, _ in FAULTS])
async def test_a_failed_reload_changes_nothing_that_a_client_can_see_and_is_reported(
    running: Gateway,
    documents: Path,
    service: Demo,
    http: httpx.AsyncClient,
    fault: Callable[[Path, str], None],
    words: str,
) -> None:
    path = documents / "b.yaml"
    write(path, document(service.url, 0, prefix="/b", tools=2))
    await reload(running)
    url = f"{running.url}/b/mcp"
    session = await shake_hands(http, url)
    lists = await session.ask(http, "tools/list")
    async with (
        connection() as one,
        connection() as two,
        session.standing(one) as standing,
        listening(two, url, "l", toolsListChanged=True) as modern,
    ):
        fault(path, service.url)
        write(documents / "a.yaml", document(service.url, 9))
        report = await reload(running)
        # It is reported, with its place, where the operator asked, in the status and in the log.
        (problem,) = {problem for problem in report["problems"] if problem.startswith("b.yaml:")}
        assert ": error: " in problem
        assert words in problem
        state = running.status()[0]["documents"][1]
        assert (state["source"], state["serving"]) == ("b.yaml", "last good")
        assert problem in "".join(map(str, state["problems"]))
        assert problem in running.messages
        assert "b.yaml has errors: its last good version goes on serving." in running.messages
        # Nothing of it can be seen, and everybody else's change is served.
        assert (await session.ask(http, "tools/list"))["tools"] == lists["tools"]
        assert marker_of(await session.ask(http, "tools/call", {"name": "mark1"})) == 0
        assert marker_of(await ask(http, f"{running.url}/a/mcp", "tools/call", CALL)) == 9
        # A mended document is served again. What the streams hear of first is that, so they heard of nothing before.
        path.unlink()
        write(path, document(service.url, 2, prefix="/b"))
        assert (await reload(running))["problems"] == []
        assert marker_of(await session.ask(http, "tools/call", CALL)) == 2
        assert (await standing.message())["method"] == CHANGED
        assert (await modern.message())["method"] == CHANGED


@pytest.mark.parametrize(("fault", "words"), FAULTS, ids=[fault.__name__ for fault, _ in FAULTS])
async def test_one_tenants_bad_document_never_blocks_anothers(
    tmp_path: Path,
    documents: Path,
    service: Demo,
    http: httpx.AsyncClient,
    fault: Callable[[Path, str], None],
    words: str,
) -> None:
    """Bad from the beginning, so that there is no last good version of it."""
    write(documents / "a.yaml", document(service.url, 4))
    fault(documents / "b.yaml", service.url)
    write(documents / "c.yaml", "tenant: other\n" + document(service.url, 6, prefix="/c"))
    with gateway(tmp_path, documents, "--poll", "3600") as running:
        assert marker_of(await ask(http, f"{running.url}/a/mcp", "tools/call", CALL)) == 4
        assert marker_of(await ask(http, f"{running.url}/c/mcp", "tools/call", CALL)) == 6
        assert (await http.post(f"{running.url}/b/mcp", **modern_request("tools/list"))).status_code == 404
        (problem,) = {message for message in running.messages if message.startswith("b.yaml:")}
        assert words in problem
        assert "b.yaml is not served." in running.messages
        assert running.figure("portico_problem_documents") == 1
        assert running.status()[0]["documents"][1]["serving"] == "nothing"


async def test_a_newcomer_does_not_take_a_prefix_that_another_document_serves(
    running: Gateway, documents: Path, service: Demo, http: httpx.AsyncClient
) -> None:
    """Whatever its name sorts to, and also while the other one is served by its last good version."""
    newcomer = document(service.url, 66, prefix="/z").replace("prefix: /z", "prefix: /a")
    write(documents / "0.yaml", newcomer)
    report = await reload(running)
    assert any(problem.startswith("0.yaml:5:") and "duplicate-prefix" in problem for problem in report["problems"])
    assert marker_of(await ask(http, f"{running.url}/a/mcp", "tools/call", CALL)) == 0
    write(documents / "a.yaml", "version: [")
    report = await reload(running)
    assert any("served by the last good version of a.yaml" in problem for problem in report["problems"])
    assert marker_of(await ask(http, f"{running.url}/a/mcp", "tools/call", CALL)) == 0
    (documents / "a.yaml").unlink()
    assert (await reload(running))["problems"] == []
    assert marker_of(await ask(http, f"{running.url}/a/mcp", "tools/call", CALL)) == 66


# What ends, what begins, and what is left alone -----------------------------------------------------------------------


@asynccontextmanager
async def streams_of(running: Gateway, prefix: str, session: Session) -> AsyncIterator[tuple[Events, Events, Events]]:
    """A stream of each kind on an endpoint."""
    async with (
        connection() as one,
        connection() as two,
        connection() as three,
        connection() as post,
        session.standing(one) as standing,
        sse(two, post, running.url, prefix) as conversation,
        listening(three, f"{running.url}{prefix}/mcp", "l", toolsListChanged=True) as modern,
    ):
        yield standing, conversation.events, modern


async def test_a_removed_documents_endpoint_ends_with_its_sessions_and_streams(
    running: Gateway, documents: Path, service: Demo, http: httpx.AsyncClient
) -> None:
    write(documents / "b.yaml", document(service.url, 0, prefix="/b"))
    await reload(running)
    session = await shake_hands(http, f"{running.url}/b/mcp")
    other = await shake_hands(http, f"{running.url}/a/mcp")
    async with streams_of(running, "/b", session) as (standing, conversation, modern):
        (documents / "b.yaml").unlink()
        await reload(running)
        assert await standing.rest() == []
        assert await conversation.rest() == []
        (end,) = await modern.rest()
        assert (end["id"], end["result"]["resultType"]) == ("l", "complete")
        assert end["result"]["_meta"][SUBSCRIPTION] == "l"
    assert (await session.post(http, session.body("tools/list"))).status_code == 404
    assert (await http.post(f"{running.url}/b/mcp", **modern_request("tools/list"))).status_code == 404
    assert marker_of(await other.ask(http, "tools/call", CALL)) == 0
    # Back under the same prefix it is another endpoint: the old session stays gone.
    write(documents / "b.yaml", document(service.url, 1, prefix="/b"))
    await reload(running)
    assert (await session.post(http, session.body("tools/list"))).status_code == 404
    assert marker_of(await ask(http, f"{running.url}/b/mcp", "tools/call", CALL)) == 1


async def test_compile_starts_nothing(running: Gateway, documents: Path, http: httpx.AsyncClient) -> None:
    """Neither check nor reload nor a list touches the service that a document names; a call does."""
    with socket.create_server(("127.0.0.1", 0)) as upstream:
        upstream.setblocking(False)
        base = f"http://127.0.0.1:{upstream.getsockname()[1]}"
        write(documents / "b.yaml", document(base, 1, prefix="/b"))
        assert run("check", str(documents)).returncode == 0
        await reload(running)
        await ask(http, f"{running.url}/b/mcp", "tools/list")
        with pytest.raises(BlockingIOError):
            upstream.accept()

        async def call() -> None:
            await http.post(f"{running.url}/b/mcp", **modern_request("tools/call", CALL))

        def accepted() -> bool:
            try:
                upstream.accept()[0].close()
            except BlockingIOError:
                return False
            return True

        async with anyio.create_task_group() as group:
            group.start_soon(call)
            await eventually(accepted, "the call reaches the service")
            group.cancel_scope.cancel()


async def test_the_call_path_never_reads_the_store(
    watching: Gateway, documents: Path, service: Demo, http: httpx.AsyncClient
) -> None:
    """The whole directory is gone: everything goes on, the operator is told, and its return is noticed."""
    session = await shake_hands(http, f"{watching.url}/a/mcp")
    away = documents.with_name("away")
    os.rename(documents, away)
    report = await reload(watching)
    assert report["failed"] is True
    assert "documents cannot be read: No such file or directory" in report["problems"][0]
    assert marker_of(await session.ask(http, "tools/call", CALL)) == 0
    await eventually(lambda: "goes on being served" in watching.log, "the poll says so")
    write(away / "a.yaml", document(service.url, 8))
    os.rename(away, documents)
    await sees(f"{watching.url}/a/mcp", 8, WAIT)
    assert marker_of(await session.ask(http, "tools/call", CALL)) == 8


async def test_an_unchanged_document_keeps_its_streams_quiet(
    running: Gateway, documents: Path, service: Demo, http: httpx.AsyncClient
) -> None:
    url = f"{running.url}/a/mcp"
    async with listening(http, url, "l", toolsListChanged=True, resourcesListChanged=True) as modern:
        write(documents / "a.yaml", "# A comment changes nothing.\n" + document(service.url, 0))
        await reload(running)
        await reload(running)
        write(documents / "a.yaml", document(service.url, 0, tools=2))
        await reload(running)
        assert (await modern.message())["method"] == CHANGED


async def test_a_rotated_secret_is_used_by_the_next_call_and_redacted_from_then_on(
    tmp_path: Path, documents: Path, service: Demo, http: httpx.AsyncClient
) -> None:
    vault = tmp_path / "secrets" / "default"
    vault.mkdir(parents=True)
    (vault / "TOKEN").write_text("first-secret\n")
    text = document(service.url, 0).replace("X-Marker:", 'Authorization: "Bearer {{ secrets.TOKEN }}", X-Marker:')
    write(documents / "a.yaml", text)
    with gateway(tmp_path, documents, "--secrets", str(vault.parent), "--poll", "3600") as running:
        for number, secret in enumerate(("first-secret", "second-secret")):
            write(vault / "TOKEN", secret)
            await reload(running)
            query = {"name": "mark", "arguments": {"seconds": 0.01 * (number + 1)}}
            result_of(await http.post(f"{running.url}/a/mcp", **modern_request("tools/call", query)))
        sent = [line["headers"].get("authorization") for line in service.journal()]
        assert [each for each in sent if each] == ["Bearer first-secret", "Bearer second-secret"]
        assert "-secret" not in running.log + running.out.read_text()
