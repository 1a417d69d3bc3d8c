"""The process as the operator knows it: its settings, its addresses, its signals, its commands and its logs."""

import json
import os
import signal
import socket
import tempfile
import tomllib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest
from tests.e2e.commands import run_alone as run
from tests.e2e.conversation import (
    CALL_ID,
    SUBSCRIPTION,
    Events,
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
)
from tests.e2e.processes import (
    WAIT,
    Demo,
    Gateway,
    demo,
    descendants,
    gateway,
    get,
    is_alive,
    post,
    write,
)
from tests.fakes.rest import Rest, serving

import portico

pytestmark = [pytest.mark.e2e, pytest.mark.anyio, pytest.mark.timeout(120)]

DOCUMENT = """
version: 1
name: a
routers: [{{prefix: /a, server: a}}]
servers: [{{name: a}}]
tools:
  - name: wait
    description: Answers after some seconds.
    args: [{{name: seconds, in: query, type: number, default: 0}}]
    request: {{url: "{base}/slow"}}
"""


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    with demo(tmp_path_factory.mktemp("demo")) as found:
        yield found


@pytest.fixture(scope="module")
def documents(tmp_path_factory: pytest.TempPathFactory, service: Demo) -> Path:
    directory = tmp_path_factory.mktemp("documents")
    write(directory / "a.yaml", DOCUMENT.format(base=service.url))
    return directory


@pytest.fixture
async def stack() -> AsyncIterator[AsyncExitStack]:
    async with AsyncExitStack() as found:
        yield found


# Settings -------------------------------------------------------------------------------------------------------------


def shown(*flags: str, env: Mapping[str, str] | None = None) -> tuple[dict[str, Any], dict[str, str]]:
    """Every setting that a gateway with these flags would use, and where each came from."""
    done = run("gateway", "--show-settings", *flags, env=env)
    assert done.returncode == 0, done.stderr
    origins = {line.partition(" = ")[0]: line.rpartition("  # ")[2] for line in done.stdout.splitlines()}
    return tomllib.loads(done.stdout), origins


def test_a_flag_comes_before_the_environment_before_the_file_before_the_default(tmp_path: Path) -> None:
    file = tmp_path / "portico.toml"
    file.write_text("port = 1001\nworkers = 2\ndrain = 7\nlog = 'json'\nallowed-host = ['one.example']\n")
    env = {"PORTICO_PORT": "1002", "PORTICO_WORKERS": "3", "PORTICO_ACCESS_LOG": "off"}
    values, origins = shown("--settings", str(file), "--port", "1003", env=env)
    assert (values["port"], origins["port"]) == (1003, "flag")
    assert (values["workers"], origins["workers"]) == (3, "PORTICO_WORKERS")
    assert (values["access-log"], origins["access-log"]) == (False, "PORTICO_ACCESS_LOG")
    assert (values["drain"], origins["drain"]) == (7.0, str(file))
    assert (values["allowed-host"], origins["allowed-host"]) == (["one.example"], str(file))
    assert (values["host"], origins["host"]) == ("127.0.0.1", "default")


def test_the_settings_file_may_be_named_by_the_environment(tmp_path: Path) -> None:
    file = tmp_path / "portico.toml"
    file.write_text("limit_body = 1000\n")
    values, origins = shown(env={"PORTICO_SETTINGS": str(file)})
    assert (values["limit-body"], origins["limit-body"]) == (1000, str(file))


def test_a_setting_of_many_values_takes_a_repeated_flag_or_commas_in_the_environment() -> None:
    values, _ = shown("--allowed-host", "a.example", "--allowed-host", "b.example")
    assert values["allowed-host"] == ["a.example", "b.example"]
    values, _ = shown(env={"PORTICO_TRUSTED_PROXY": "10.0.0.0/8, 192.0.2.1"})
    assert values["trusted-proxy"] == ["10.0.0.0/8", "192.0.2.1"]


def test_what_is_shown_is_a_settings_file_that_means_the_same(tmp_path: Path) -> None:
    flags = ["--store", 'files:a "quoted" \\ place', "--workers", "3", "--no-access-log", "--egress", "public"]
    first, _ = shown(*flags)
    file = tmp_path / "portico.toml"
    file.write_text(run("gateway", "--show-settings", *flags).stdout)
    second, origins = shown("--settings", str(file))
    assert first == second
    assert set(origins.values()) == {str(file)}


def test_the_admin_token_is_never_shown() -> None:
    done = run("gateway", "--show-settings", env={"PORTICO_ADMIN_TOKEN": "a-token-of-some-length"})
    assert 'admin-token = "(hidden)"  # PORTICO_ADMIN_TOKEN' in done.stdout
    assert "a-token-of-some-length" not in done.stdout + done.stderr


BAD_SETTINGS: dict[str, tuple[list[str], dict[str, str], str, list[str]]] = {
    "port out of range": (["--port", "70000"], {}, "", ["--port (from flag)", "0 to 65535", "70000"]),
    "workers": ([], {"PORTICO_WORKERS": "0"}, "", ["--workers (from PORTICO_WORKERS)", "1 to 64"]),
    "not a number": ([], {"PORTICO_PORT": "many"}, "", ["PORTICO_PORT", "number", "'many'"]),
    "not a boolean": ([], {"PORTICO_ACCESS_LOG": "perhaps"}, "", ["PORTICO_ACCESS_LOG", "true or false"]),
    "not finite": ([], {"PORTICO_DRAIN": "nan"}, "", ["--drain (from PORTICO_DRAIN)"]),
    "log": (["--log", "xml"], {}, "", ["--log (from flag)", "text or json", "'xml'"]),
    "log level": (["--log-level", "loud"], {}, "", ["--log-level", "debug, info, warning or error"]),
    "admin": (["--admin", "5239"], {}, "", ["--admin (from flag)", "HOST:PORT or off"]),
    "admin port": (["--admin", "127.0.0.1:99999"], {}, "", ["--admin (from flag)", "99999"]),
    "admin beyond loopback": (["--admin", "0.0.0.0:0"], {}, "", ["--admin (from flag)", "--admin-token"]),
    "public url": (["--public-url", "example.com"], {}, "", ["--public-url", "http or https URL"]),
    "proxy": (["--trusted-proxy", "everyone"], {}, "", ["--trusted-proxy", "everyone"]),
    "egress": (["--egress", "no/where"], {}, "", ["--egress (from flag)", "no/where"]),
    "not TOML": ([], {}, "port = [", ["portico.toml", "not TOML"]),
    "unknown": ([], {}, "prot = 1", ["portico.toml", "there is no setting prot", "port"]),
    "type": ([], {}, 'port = "5235"', ["portico.toml", "port must be"]),
    "boolean as a number": ([], {}, "workers = true", ["portico.toml", "workers must be"]),
}


@pytest.mark.parametrize("name", BAD_SETTINGS)
def test_a_bad_setting_is_refused_with_where_it_came_from_and_what_is_expected(
    name: str, tmp_path: Path, documents: Path
) -> None:
    flags, env, text, words = BAD_SETTINGS[name]
    if text:
        (tmp_path / "portico.toml").write_text(text)
        flags = [*flags, "--settings", str(tmp_path / "portico.toml")]
    done = run("gateway", "--store", f"files:{documents}", *flags, env=env)
    assert done.returncode == 2
    assert done.stderr.startswith("portico: ")
    assert done.stderr.count("\n") == 1
    assert [word for word in words if word not in done.stderr] == []
    assert done.stdout == ""


def test_a_settings_file_that_is_not_there_is_said() -> None:
    done = run("gateway", "--settings", "/no/such/file.toml")
    assert (done.returncode, "/no/such/file.toml" in done.stderr) == (2, True)


def test_an_unknown_flag_is_refused() -> None:
    done = run("gateway", "--prot", "1")
    assert done.returncode == 2
    assert "--prot" in done.stderr


@pytest.mark.parametrize("workers", ["1", "2"])
@pytest.mark.parametrize(
    ("store", "words"),
    [
        ("files:/no/such/directory", ["/no/such/directory cannot be read: No such file or directory", "Create it"]),
        ("files:/etc/hostname", ["/etc/hostname cannot be read: Not a directory"]),
        ("files:", ["names no directory"]),
        ("mongodb:x", ["is of no known kind", "files:DIR"]),
    ],
)
def test_a_store_that_cannot_be_opened_is_a_clear_error(workers: str, store: str, words: list[str]) -> None:
    done = run("gateway", "--store", store, "--port", "0", "--admin", "off", "--workers", workers)
    assert done.returncode == 2
    assert done.stderr.startswith("portico: the ")
    assert [word for word in words if word not in done.stderr] == []
    assert "Traceback" not in done.stderr


# Addresses ------------------------------------------------------------------------------------------------------------


def listening_ports(pid: int) -> set[int]:
    """TCP ports that a process listens on."""
    links = [os.readlink(path) for path in Path(f"/proc/{pid}/fd").iterdir() if path.exists() or path.is_symlink()]
    sockets = {link.removeprefix("socket:[").removesuffix("]") for link in links if link.startswith("socket:[")}
    lines = [line.split() for line in Path(f"/proc/{pid}/net/tcp").read_text().splitlines()[1:]]
    return {int(line[1].rpartition(":")[2], 16) for line in lines if line[3] == "0A" and line[9] in sockets}


def port_of(url: str) -> int:
    return int(url.rpartition(":")[2])


def test_port_0_takes_free_ports_and_says_which(tmp_path: Path, documents: Path) -> None:
    with gateway(tmp_path, documents, name="one") as one, gateway(tmp_path, documents, name="two") as two:
        urls = {one.url, one.admin, two.url, two.admin}
        assert len(urls) == 4
        assert listening_ports(one.process.pid) == {port_of(one.url), port_of(one.admin)}
        for running in (one, two):
            assert get(f"{running.url}/livez").text == "alive\n"
            assert get(f"{running.admin}/status").json()[0]["endpoints"] == ["/a"]


def test_without_an_admin_listener_there_is_one_address_and_nothing_of_it_is_public(
    tmp_path: Path, documents: Path
) -> None:
    with gateway(tmp_path, documents, admin="off") as running:
        assert running.admin == ""
        assert listening_ports(running.process.pid) == {port_of(running.url)}
        for path in ("/metrics", "/status", "/reload"):
            assert get(running.url + path).status_code == 404
            assert post(running.url + path).status_code == 404


@pytest.mark.parametrize("workers", ["1", "2"])
@pytest.mark.parametrize("flag", ["--port", "--admin"])
def test_an_address_in_use_is_a_clear_error(workers: str, flag: str, documents: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        settings = {"--port": "0", "--admin": "127.0.0.1:0", "--workers": workers, "--store": f"files:{documents}"}
        settings[flag] = address if flag == "--admin" else address.rpartition(":")[2]
        done = run("gateway", *[part for pair in settings.items() for part in pair])
    assert done.returncode == 2
    assert done.stderr == f"portico: cannot listen on {address}: Address already in use\n"


def test_the_admin_token_opens_the_admin_listener_and_nothing_else_does(tmp_path: Path, documents: Path) -> None:
    token = "a-token-of-some-length"
    with gateway(tmp_path, documents, env={"PORTICO_ADMIN_TOKEN": token}, ready=False) as running:
        for headers in ({}, {"authorization": "Bearer wrong"}, {"authorization": f"Basic {token}"}):
            assert get(f"{running.admin}/status", headers=headers).status_code == 401
            assert post(f"{running.admin}/reload", headers=headers).status_code == 401
        good = {"authorization": f"Bearer {token}"}
        assert get(f"{running.admin}/status", headers=good).json()[0]["endpoints"] == ["/a"]
        admin = running.admin.removeprefix("http://")
        refused = run("reload", "--admin", admin)
        assert refused.returncode == 2
        assert "token" in refused.stdout + refused.stderr
        assert run("reload", "--admin", admin, env={"PORTICO_ADMIN_TOKEN": token}).returncode == 0
        assert token not in running.log


# The end --------------------------------------------------------------------------------------------------------------


async def exits(running: Gateway, within: float = WAIT) -> int:
    return await anyio.to_thread.run_sync(lambda: running.process.wait(within))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "SIGINT"])
@pytest.mark.parametrize("workers", ["1", "2"])
async def test_a_signal_ends_the_gateway_within_ten_seconds_with_idle_streams_of_every_kind_open(
    tmp_path: Path, documents: Path, stack: AsyncExitStack, workers: str, number: int
) -> None:
    with gateway(tmp_path, documents, "--workers", workers) as running:
        url = f"{running.url}/a/mcp"
        streams: list[Events] = []
        for worker in running.pids():
            # Both sessions' streams are on this worker: its own, and with two workers one that is handed over.
            for owner in running.pids():
                session = await shake_hands(await opened(stack, url, owner), url)
                own = await opened(stack, url, worker)
                streams.append(await stack.enter_async_context(session.standing(own)))
            conversation = sse(await opened(stack, url, worker), await opened(stack, url, worker), running.url, "/a")
            streams.append((await stack.enter_async_context(conversation)).events)
            listen = listening(await opened(stack, url, worker), url, f"l-{worker}", toolsListChanged=True)
            streams.append(await stack.enter_async_context(listen))
        processes = [running.process.pid, *descendants(running.process.pid)]
        sockets = {pid: names for pid in processes if (names := peers_of(running))}
        running.process.send_signal(number)
        assert await exits(running, within=10) == 0
        # Each stream ended in order, and a subscription with its result.
        ends = [message for events in streams for message in await events.rest()]
        assert [end["result"]["_meta"][SUBSCRIPTION][:2] for end in ends] == ["l-"] * int(workers)
        assert not any(is_alive(pid) for pid in processes)
        assert not any(path.exists() for names in sockets.values() for path in names)
        assert "Traceback" not in running.log
        assert "Fatal" not in running.log
        with pytest.raises(httpx.ConnectError):
            get(running.url)


async def opened(stack: AsyncExitStack, url: str, worker: str) -> httpx.AsyncClient:
    http = await connection_to(url, worker)
    stack.push_async_callback(http.aclose)
    return http


def peers_of(running: Gateway) -> list[Path]:
    names = running.pids()
    return [path for path in Path(tempfile.gettempdir()).glob("portico-*/*.sock") if path.stem in names]


@pytest.fixture
async def held() -> AsyncIterator[Rest]:
    """A service whose answers wait until they are let go."""
    async with serving() as found:
        yield found


@pytest.fixture
def holding(tmp_path: Path, held: Rest) -> Path:
    directory = tmp_path / "holding"
    directory.mkdir()
    write(directory / "a.yaml", DOCUMENT.format(base=held.url).replace("/slow", "/hold"))
    return directory


CALL = {"name": "wait", "arguments": {"seconds": 1}}


class Calls:
    """One call in every way that there is, all of them waiting for the service. Answers are kept by way."""

    def __init__(self, url: str, workers: list[str], session: Session, stack: AsyncExitStack) -> None:
        self.url = f"{url}/a/mcp"
        self.base = url
        self.first, self.last = workers[0], workers[-1]
        self.session = session
        self.stack = stack
        self.answers: dict[str, Any] = {}
        self.ways = (self.modern, self.legacy, self.handed_over, self.streamed, self.modern_streamed, self.over_sse)

    async def modern(self) -> None:
        http = await opened(self.stack, self.url, self.last)
        self.answers["modern"] = await ask(http, self.url, "tools/call", CALL)

    async def legacy(self) -> None:
        http = await opened(self.stack, self.url, self.first)
        self.answers["legacy"] = await self.session.ask(http, "tools/call", CALL, identifier=50)

    async def handed_over(self) -> None:
        http = await opened(self.stack, self.url, self.last)
        self.answers["handed over"] = await self.session.ask(http, "tools/call", CALL, identifier=51)

    async def streamed(self) -> None:
        http = await opened(self.stack, self.url, self.last)
        body = self.session.body("tools/call", {**CALL, "_meta": {"progressToken": 1}}, identifier=52)
        async with stream(http, "POST", self.url, json=body, headers=self.session.headers) as events:
            self.answers["streamed"] = (await events.rest())[-1]["result"]

    async def modern_streamed(self) -> None:
        http = await opened(self.stack, self.url, self.first)
        request = modern_request("tools/call", CALL, meta={"progressToken": 2})
        async with stream(http, "POST", self.url, **request) as events:
            self.answers["modern streamed"] = (await events.rest())[-1]["result"]

    async def over_sse(self) -> None:
        own, post_http = await opened(self.stack, self.url, self.first), await opened(self.stack, self.url, self.last)
        async with sse(own, post_http, self.base, "/a") as conversation:
            self.answers["over sse"] = await conversation.ask(post_http, "tools/call", CALL, 60)


@pytest.mark.parametrize("workers", ["1", "2"])
async def test_calls_under_way_finish_and_readiness_says_503_meanwhile(
    tmp_path: Path, held: Rest, holding: Path, stack: AsyncExitStack, workers: str
) -> None:
    with gateway(tmp_path, holding, "--workers", workers) as running:
        names = list(running.pids())
        url = f"{running.url}/a/mcp"
        session = await shake_hands(await opened(stack, url, names[0]), url)
        calls = Calls(running.url, names, session, stack)
        async with anyio.create_task_group() as group:
            for way in calls.ways:
                group.start_soon(way)
            await eventually(lambda: len(held.requests) == len(calls.ways), "every call at the service")
            running.process.send_signal(signal.SIGTERM)
            await eventually(lambda: readiness(running) == 503, "readiness is off", within=1)
            assert calls.answers == {}
            held.release.set()
        assert len(calls.answers) == len(calls.ways)
        assert [answer["isError"] for answer in calls.answers.values()] == [False] * len(calls.ways)
        assert await exits(running, within=10) == 0
        assert "Traceback" not in running.log


@pytest.mark.parametrize("workers", ["1", "2"])
async def test_readiness_is_off_while_a_single_plain_call_is_awaited(
    tmp_path: Path, held: Rest, holding: Path, stack: AsyncExitStack, workers: str
) -> None:
    """No stream keeps the gateway waiting here, and still whoever balances the load can learn that it leaves."""
    with gateway(tmp_path, holding, "--workers", workers) as running:
        names = list(running.pids())
        url = f"{running.url}/a/mcp"
        calls = Calls(running.url, names, await shake_hands(await opened(stack, url, names[0]), url), stack)
        async with anyio.create_task_group() as group:
            group.start_soon(calls.legacy)
            await eventually(lambda: len(held.requests) == 1, "the call at the service")
            running.process.send_signal(signal.SIGTERM)
            await eventually(lambda: readiness(running) == 503, "readiness is off", within=1)
            # A little later nobody accepts any more, and nobody is kept waiting for that either.
            await eventually(lambda: readiness(running) == REFUSED, "connections are refused", within=5)
            assert calls.answers == {}
            held.release.set()
        assert calls.answers["legacy"]["isError"] is False
        assert await exits(running, within=10) == 0


REFUSED = 0


def readiness(running: Gateway) -> int:
    try:
        return get(f"{running.url}/readyz").status_code
    except (httpx.ConnectError, httpx.ReadError, httpx.RemoteProtocolError):
        return REFUSED


@pytest.mark.parametrize("workers", ["1", "2"])
async def test_calls_that_do_not_end_are_cut_when_the_time_to_drain_is_over(
    tmp_path: Path, held: Rest, holding: Path, stack: AsyncExitStack, workers: str
) -> None:
    with gateway(tmp_path, holding, "--drain", "1", "--workers", workers) as running:
        names = list(running.pids())
        url = f"{running.url}/a/mcp"
        calls = Calls(running.url, names, await shake_hands(await opened(stack, url, names[0]), url), stack)
        cut = 0

        async def is_cut(way: Callable[[], Awaitable[None]]) -> None:
            nonlocal cut
            try:
                await way()
            except (httpx.TransportError, AssertionError, StopAsyncIteration, IndexError, KeyError):
                cut += 1

        async with anyio.create_task_group() as group:
            for way in calls.ways:
                group.start_soon(is_cut, way)
            await eventually(lambda: len(held.requests) == len(calls.ways), "every call at the service")
            running.process.send_signal(signal.SIGTERM)
            assert await exits(running, within=8) == 0
        assert (cut, calls.answers) == (len(calls.ways), {})


async def test_a_supervisor_that_is_killed_leaves_no_worker_behind(
    tmp_path: Path, documents: Path, stack: AsyncExitStack
) -> None:
    with gateway(tmp_path, documents, "--workers", "2") as running:
        url = f"{running.url}/a/mcp"
        for worker in running.pids():
            listen = listening(await opened(stack, url, worker), url, worker, toolsListChanged=True)
            await stack.enter_async_context(listen)
        workers = descendants(running.process.pid)
        assert set(running.pids().values()) <= set(workers)
        running.process.kill()
        await eventually(lambda: not any(is_alive(pid) for pid in workers), "the end of the workers", within=10)
        with pytest.raises(httpx.ConnectError):
            get(running.url)


# Commands -------------------------------------------------------------------------------------------------------------


def test_version_names_the_program_and_its_version() -> None:
    done = run("--version")
    assert (done.returncode, done.stdout) == (0, f"portico {portico.__version__}\n")


def test_help_lists_every_command() -> None:
    done = run("--help")
    assert done.returncode == 0
    assert [
        name for name in ("gateway", "check", "schema", "reload", "demo", "example") if name not in done.stdout
    ] == []


def test_schema_prints_the_committed_schema() -> None:
    done = run("schema")
    committed = Path(__file__).parents[2] / "schema" / "document.schema.json"
    assert done.returncode == 0
    assert done.stdout == committed.read_text()
    assert json.loads(done.stdout)["$schema"].startswith("https://json-schema.org/")


def test_check_passes_good_documents(documents: Path) -> None:
    for path in (documents, documents / "a.yaml"):
        done = run("check", str(path))
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout == "1 document: all good\n"


def test_check_prints_every_problem_as_file_line_column_and_fails(tmp_path: Path, service: Demo) -> None:
    good = DOCUMENT.format(base=service.url)
    write(tmp_path / "a.yaml", good.replace("server: a}", "server: z}").replace("name: wait", "name: wait here"))
    for name in ("c", "d"):
        write(
            tmp_path / f"{name}.yaml", good.replace("name: a\nrouters", f"name: {name}\nrouters").replace("/a,", "/b,")
        )
    done = run("check", str(tmp_path))
    assert done.returncode == 1
    problems = [line for line in done.stdout.splitlines() if ": error: " in line]
    assert [line.rpartition("/")[2].split(":")[0] for line in problems][:2] == ["a.yaml", "a.yaml"]
    assert any("a.yaml:4:" in line and "z" in line for line in problems)
    assert any("a.yaml:7:" in line and "wait here" in line for line in problems)
    assert any("d.yaml:4:" in line and "taken by" in line for line in problems)


def test_check_of_nothing_is_not_a_success(tmp_path: Path) -> None:
    assert run("check", str(tmp_path / "missing.yaml")).returncode != 0
    assert run("check").returncode == 2


# Logs -----------------------------------------------------------------------------------------------------------------


async def test_every_call_and_refusal_has_one_line_in_the_access_log_with_the_id_of_its_answer(
    tmp_path: Path, documents: Path
) -> None:
    with gateway(tmp_path, documents) as running:
        url = f"{running.url}/a/mcp"
        async with connection() as http:
            good = await ask(http, url, "tools/call", {"name": "wait"})
            bad = await http.post(url, **modern_request("tools/call", {"name": "nothing"}))
            invalid = await ask(http, url, "tools/call", {"name": "wait", "arguments": {"seconds": "x"}})
            session = await shake_hands(http, url)
            legacy = await session.ask(http, "tools/list")
            lost = await http.get(f"{running.url}/nowhere", headers={"x-secret": "not to be logged"})
        assert running.end() == 0
        lines = {line["call"]: line for line in running.lines}
    ids = [good["_meta"][CALL_ID], invalid["_meta"][CALL_ID], legacy["_meta"][CALL_ID]]
    ids += [bad.json()["error"]["data"]["callId"], lost.headers["x-portico-call"]]
    assert len(set(ids)) == 5
    found = [lines[each] for each in ids]
    assert [line["outcome"] for line in found] == ["ok", "invalid arguments", "ok", "error -32602", "refused"]
    assert [line.get("endpoint", "") for line in found] == ["/a", "/a", "/a", "/a", ""]
    assert [line["method"] for line in found] == ["tools/call", "tools/call", "tools/list", "tools/call", "GET"]
    assert found[0]["name"] == "wait"
    assert [line.get("era", "") for line in found][::2] == ["2026-07-28", "2025-11-25", ""]
    assert (found[4]["status"], found[4]["name"]) == (404, "/nowhere")
    assert all(line["client"] == "127.0.0.1" for line in found)
    assert all(isinstance(line["at"], float) for line in found)
    assert "not to be logged" not in running.out.read_text() + running.log


async def test_no_value_of_a_client_can_forge_a_line_of_the_text_log(tmp_path: Path, documents: Path) -> None:
    with gateway(tmp_path, documents, "--log", "text", "--log-level", "debug") as running:
        url = f"{running.url}/a/mcp"
        forged = "x\n12:00:00 call /a tools/call forged\x1b[31m\r"
        async with connection() as http:
            session = await shake_hands(http, url)
            await session.post(http, session.body("tools/call", {"name": forged}))
            await session.post(http, session.body(forged))
            await http.get(f"{running.url}/%0a12:00:00%20call%20forged")
        assert running.end() == 0
        text = running.out.read_text()
    assert len(text.splitlines()) >= 4
    assert [line for line in text.splitlines() if not line[:8].replace(":", "").isdigit()] == []
    assert not any(line.startswith("12:00:00 call") for line in text.split("\n"))
    assert "\x1b" not in text + running.log


async def test_the_access_log_can_be_switched_off(tmp_path: Path, documents: Path) -> None:
    with gateway(tmp_path, documents, "--no-access-log") as running:
        async with connection() as http:
            await ask(http, f"{running.url}/a/mcp", "tools/call", {"name": "wait"})
        assert running.end() == 0
        assert running.out.read_text() == ""


# Secrets --------------------------------------------------------------------------------------------------------------


SECRETS = {
    "TOKEN": "sesame-token-zyxw",
    "BASE": "http://127.0.0.1:9/sesame-base-zyxw",
    "BROKEN": "sesame\nbroken-zyxw",
    "KEY": "sesame-key-zyxw",
    "BODY": "sesame-body-zyxw",
}
SECRET_TOOLS = """
version: 1
name: vault
routers: [{{prefix: /vault, server: vault}}]
servers: [{{name: vault}}]
tools:
  - {{name: header, description: d, request: {{url: "{base}/fail/500", headers: {{X-A: "{{{{ secrets.TOKEN }}}}"}}}}}}
  - {{name: base, description: d, request: {{url: "{{{{ secrets.BASE }}}}/x"}}}}
  - {{name: broken, description: d, request: {{url: "{base}/text", headers: {{X-B: "{{{{ secrets.BROKEN }}}}"}}}}}}
  - {{name: query, description: d, request: {{url: "http://127.0.0.1:9/x", query: {{k: "{{{{ secrets.KEY }}}}"}}}}}}
  - {{name: path, description: d, request: {{url: "http://127.0.0.1:9/{{{{ secrets.KEY }}}}/x"}}}}
  - name: slow
    description: d
    request: {{url: "{base}/slow?seconds=9", timeout: 1s, headers: {{X-A: "{{{{ secrets.TOKEN }}}}"}}}}
  - name: body
    description: d
    request: {{method: POST, url: "{base}/fail/404", body: {{k: "{{{{ secrets.BODY }}}}"}}}}
"""


def command_line(pid: int) -> str:
    return Path(f"/proc/{pid}/cmdline").read_text()


def from_directory(tmp_path: Path) -> tuple[list[str], dict[str, str]]:
    vault = tmp_path / "secrets" / "default"
    vault.mkdir(parents=True)
    for name, value in SECRETS.items():
        (vault / name).write_text(value + "\n")
    return ["--secrets", str(vault.parent)], {}


def from_environment(tmp_path: Path) -> tuple[list[str], dict[str, str]]:
    return [], {f"PORTICO_SECRET_{name}": value for name, value in SECRETS.items()}


@pytest.mark.parametrize("source", [from_directory, from_environment])
@pytest.mark.parametrize("workers", ["1", "2"])
async def test_a_secret_is_sent_and_never_said(
    tmp_path: Path,
    service: Demo,
    source: Callable[[Path], tuple[list[str], dict[str, str]]],
    workers: str,
) -> None:
    store = tmp_path / "documents"
    store.mkdir()
    write(store / "vault.yaml", SECRET_TOOLS.format(base=service.url))
    flags, env = source(tmp_path)
    before = len(service.journal())
    said: list[str] = []
    with gateway(tmp_path, store, "--log-level", "debug", "--workers", workers, *flags, env=env) as running:
        url = f"{running.url}/vault/mcp"
        async with connection() as http:
            session = await shake_hands(http, url)
            listed = await http.post(url, **modern_request("tools/list"))
            said.append(listed.text)
            for tool in result_of(listed)["tools"]:
                params = {"name": tool["name"]}
                modern = await http.post(url, **modern_request("tools/call", params))
                legacy = await session.post(http, session.body("tools/call", params))
                assert modern.json()["result"]["isError"] is True, tool
                assert legacy.json()["result"]["isError"] is True, tool
                said += [modern.text, legacy.text]
            said += [get(f"{running.admin}{path}").text for path in ("/status", "/metrics")]
        said.append(post(f"{running.admin}/reload").text)
        said += [command_line(pid) for pid in (running.process.pid, *descendants(running.process.pid))]
        assert running.end() == 0
        said += [running.log, running.out.read_text()]
    sent = service.journal()[before:]
    assert {line["headers"].get("x-a") for line in sent} >= {SECRETS["TOKEN"]}
    assert [line["body"] for line in sent if line["path"] == "/fail/404"] == ['{"k":"sesame-body-zyxw"}'] * 2
    assert [text for text in said if "zyxw" in text or "sesame" in text] == []


def test_a_file_comes_before_the_environment_and_each_tenant_has_its_own(tmp_path: Path, service: Demo) -> None:
    text = """
version: 1
name: {tenant}
tenant: {tenant}
routers: [{{prefix: /{tenant}, server: s}}]
servers: [{{name: s}}]
tools:
  - {{name: show, description: d, request: {{url: "{base}/echo/{tenant}", headers: {{X-A: "{{{{ secrets.A }}}}"}}}}}}
"""
    store = tmp_path / "documents"
    store.mkdir()
    for tenant in ("default", "other", "third"):
        write(store / f"{tenant}.yaml", text.format(tenant=tenant, base=service.url))
    for tenant in ("default", "other"):
        vault = tmp_path / "secrets" / tenant
        vault.mkdir(parents=True)
        (vault / "A").write_text(f"file-of-{tenant}")
    env = {"PORTICO_SECRET_A": "environment"}
    with gateway(tmp_path, store, "--secrets", str(tmp_path / "secrets"), env=env) as running:
        for tenant in ("default", "other"):
            post(f"{running.url}/{tenant}/mcp", **modern_request("tools/call", {"name": "show"}))
        third = running.status()[0]["documents"][2]
        refused = post(f"{running.url}/third/mcp", **modern_request("tools/call", {"name": "show"}))
    sent = {line["path"]: line["headers"].get("x-a") for line in service.journal() if line["path"].startswith("/echo/")}
    assert sent["/echo/default"] == "file-of-default"
    assert sent["/echo/other"] == "file-of-other"
    # The environment's secrets are the default tenant's alone, and what is missing is said before anybody calls.
    assert any("A" in problem and "secret" in problem for problem in third["problems"])
    assert "environment" not in refused.text
    assert "/echo/third" not in sent or sent["/echo/third"] is None
