"""A gateway behind nginx and behind Caddy, below a path, with the examples in deploy/: what reaches it, what reaches
its clients, and when."""

import socket
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio
import httpx
import httpx2
import pytest
from mcp.client.client import Client
from mcp.client.sse import sse_client
from mcp.client.streamable_http import streamable_http_client
from tests.e2e.conversation import BOTH, ask, eventually, listening, modern_request, shake_hands, sse, stream
from tests.e2e.processes import WAIT, Demo, Gateway, demo, gateway, write
from tests.e2e.proxies import PROXIES, Site, nginx, site
from tests.fakes.net_certificates import Authority

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
  - name: echo
    description: Answers with what it is given.
    args: [{{name: text, in: body}}]
    request: {{method: POST, url: "{base}/echo"}}
{more}
"""
MORE = '  - {{name: more{number}, description: "One more tool.", request: {{url: "http://127.0.0.1:9"}}}}'
CALL = {"name": "wait", "arguments": {}}
CHANGED = "notifications/tools/list_changed"
CLIENT = "127.0.0.2"


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    with demo(tmp_path_factory.mktemp("demo")) as found:
        yield found


@dataclass
class Front:
    """A proxy and the gateway behind it."""

    site: Site
    gateway: Gateway
    documents: Path
    service: Demo
    changes: int = 0

    @property
    def url(self) -> str:
        return f"{self.site.url}/a/mcp"

    @property
    def base(self) -> str:
        return self.site.url.removesuffix("/tools")

    def connection(self, address: str = CLIENT) -> httpx.AsyncClient:
        """One connection to the proxy, from another address than the proxy's own."""
        transport = httpx.AsyncHTTPTransport(
            verify=self.site.authority.client, limits=httpx.Limits(max_connections=1), local_address=address
        )
        return httpx.AsyncClient(transport=transport, timeout=WAIT, headers={"accept": BOTH})

    def change(self) -> None:
        """Another list of tools, served when this returns."""
        self.changes += 1
        more = MORE.format(number=self.changes)
        write(self.documents / "a.yaml", DOCUMENT.format(base=self.service.url, more=more))
        self.gateway.reload()


@pytest.fixture(scope="module", params=sorted(PROXIES))
def front(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    authority: Authority,
    service: Demo,
) -> Iterator[Front]:
    directory = tmp_path_factory.mktemp(request.param)
    documents = directory / "documents"
    documents.mkdir()
    write(documents / "a.yaml", DOCUMENT.format(base=service.url, more=""))
    place = site(directory / "proxy", authority)
    told = ["--workers", "2", "--poll", "3600", "--public-url", place.url, "--trusted-proxy", "127.0.0.1"]
    with gateway(directory, documents, *told) as running, PROXIES[request.param](place, running.address):
        yield Front(place, running, documents, service)


@pytest.fixture
async def stack() -> AsyncIterator[AsyncExitStack]:
    async with AsyncExitStack() as found:
        yield found


@pytest.fixture
async def http(stack: AsyncExitStack, front: Front) -> httpx.AsyncClient:
    return await stack.enter_async_context(front.connection())


# Below a path ---------------------------------------------------------------------------------------------------------


async def test_every_transport_is_there_below_the_path(
    front: Front, http: httpx.AsyncClient, stack: AsyncExitStack
) -> None:
    assert (await ask(http, front.url, "tools/call", CALL))["isError"] is False
    session = await shake_hands(http, front.url)
    assert (await session.ask(http, "tools/call", CALL))["isError"] is False
    own = await stack.enter_async_context(front.connection())
    async with sse(own, http, front.base, "/tools/a") as conversation:
        # The stream names where to post as the client must write it.
        assert conversation.url.startswith(f"{front.site.url}/a/message?sessionId=")
        assert (await conversation.ask(http, "tools/call", CALL, 60))["isError"] is False


async def test_the_python_client_goes_through_in_every_way(front: Front) -> None:
    def trusting(
        headers: dict[str, str] | None = None,
        timeout: httpx2.Timeout | None = None,
        auth: httpx2.Auth | None = None,
    ) -> httpx2.AsyncClient:
        return httpx2.AsyncClient(headers=headers, timeout=timeout, auth=auth, verify=front.site.authority.client)

    async with trusting(timeout=httpx2.Timeout(WAIT)) as transport:
        for mode in ("auto", "legacy"):
            async with Client(streamable_http_client(front.url, http_client=transport), mode=mode) as client:
                assert (await client.call_tool("wait", {})).is_error is False
    async with Client(sse_client(f"{front.site.url}/a/sse", httpx_client_factory=trusting), mode="legacy") as client:
        assert (await client.call_tool("wait", {})).is_error is False


async def test_the_page_shows_the_public_url(front: Front, http: httpx.AsyncClient) -> None:
    page = await http.get(f"{front.site.url}/a", headers={"accept": "text/html"})
    assert page.status_code == 200
    assert f"{front.site.url}/a/mcp" in page.text
    assert f"{front.site.url}/a/sse" in page.text
    assert front.gateway.url not in page.text


# Who is asking --------------------------------------------------------------------------------------------------------


async def test_the_access_log_has_the_clients_address_and_not_what_the_client_says(
    front: Front, http: httpx.AsyncClient
) -> None:
    request = modern_request("tools/call", CALL)
    request["headers"] |= {"x-forwarded-for": "198.51.100.7", "x-forwarded-proto": "ftp"}
    answer = await http.post(front.url, **request)
    await logged(front, answer, CLIENT)


async def test_who_is_no_trusted_proxy_speaks_for_itself_alone(front: Front) -> None:
    """Past the proxy, from an address that the gateway was not told to trust."""
    async with front.connection() as http:
        request = modern_request("tools/call", CALL)
        request["headers"] |= {"x-forwarded-for": "198.51.100.7"}
        answer = await http.post(f"{front.gateway.url}/a/mcp", **request)
        await logged(front, answer, CLIENT)


async def logged(front: Front, answer: httpx.Response, client: str) -> None:
    call = answer.json()["result"]["_meta"]["portico/callId"]

    def line() -> dict[str, Any] | None:
        return next((line for line in front.gateway.lines if line.get("call") == call), None)

    await eventually(line, "the call's line in the access log")
    assert (line() or {})["client"] == client


async def test_the_host_reaches_the_gateway_which_judges_it(front: Front, http: httpx.AsyncClient) -> None:
    request = modern_request("tools/call", CALL)
    request["headers"] |= {"host": f"api.test:{front.site.port}"}
    answer = await http.post(front.url, **request)
    assert (answer.status_code, answer.text[:37]) == (403, "This Host is not one of this gateway'")


# Streams and bodies ---------------------------------------------------------------------------------------------------


async def test_an_event_arrives_within_a_second(front: Front, http: httpx.AsyncClient, stack: AsyncExitStack) -> None:
    session = await shake_hands(http, front.url)
    connections = [await stack.enter_async_context(front.connection()) for _ in range(3)]
    modern = await stack.enter_async_context(listening(connections[0], front.url, "l", toolsListChanged=True))
    standing = await stack.enter_async_context(session.standing(connections[1]))
    old = await stack.enter_async_context(sse(connections[2], http, front.base, "/tools/a"))
    await anyio.to_thread.run_sync(front.change)
    began = time.monotonic()
    for events in (modern, standing, old.events):
        assert (await events.message(within=1))["method"] == CHANGED
    assert time.monotonic() - began < 1


QUIET = 25.0


@pytest.mark.slow
async def test_quiet_streams_outlive_a_proxys_patience(
    tmp_path: Path, authority: Authority, service: Demo, stack: AsyncExitStack
) -> None:
    """Through a proxy that gives up on what is silent for a little longer than the gateway ever is."""
    place = site(tmp_path / "proxy", authority)
    documents = tmp_path / "documents"
    documents.mkdir()
    write(documents / "a.yaml", DOCUMENT.format(base=service.url, more=""))
    with gateway(tmp_path, documents, "--public-url", place.url) as running:
        front = Front(place, running, documents, service)
        impatient = {"proxy_read_timeout 300s;": "proxy_read_timeout 22s;"}
        stack.enter_context(nginx(place, running.address, impatient))
        http = await stack.enter_async_context(front.connection())
        connections = [await stack.enter_async_context(front.connection()) for _ in range(2)]
        modern = await stack.enter_async_context(listening(connections[0], front.url, "l", toolsListChanged=True))
        old = await stack.enter_async_context(sse(connections[1], http, front.base, "/tools/a"))
        # There is nothing to wait for: what is shown is that nothing happens.
        await anyio.sleep(QUIET)
        await anyio.to_thread.run_sync(front.change)
        for events in (modern, old.events):
            assert (await events.message(within=1))["method"] == CHANGED


async def test_progress_of_a_call_arrives_before_its_answer(front: Front, http: httpx.AsyncClient) -> None:
    """The beginning of a stream of one call, too, is not kept back."""
    request = modern_request("tools/call", {"name": "wait", "arguments": {"seconds": 3}}, meta={"progressToken": 1})
    async with stream(http, "POST", front.url, **request) as events:
        first = await events.message(within=2.5)
        assert first["method"] == "notifications/progress"
        assert (await events.rest())[-1]["result"]["isError"] is False


async def test_large_bodies_go_both_ways_and_too_large_ones_are_refused(front: Front, http: httpx.AsyncClient) -> None:
    text = "x" * (3 * 1024 * 1024)
    result = await ask(http, front.url, "tools/call", {"name": "echo", "arguments": {"text": text}})
    assert text in result["content"][0]["text"]
    too_large = modern_request("tools/call", {"name": "echo", "arguments": {"text": text * 2}})

    def refused() -> httpx.Response:
        return httpx.post(front.url, verify=front.site.authority.client, trust_env=False, timeout=WAIT, **too_large)

    # Caddy 2.6 may take the end of what it passes on for a fault of the gateway.
    assert (await anyio.to_thread.run_sync(refused)).status_code in (413, 502)


@pytest.mark.parametrize("meta", [None, {"progressToken": 1}], ids=["a plain answer", "a stream"])
async def test_a_client_that_leaves_cancels_its_call(front: Front, meta: dict[str, Any] | None) -> None:
    """Modern era: leaving is the cancellation, and the proxy passes it on."""
    seconds = 40 if meta is None else 41
    request = modern_request("tools/call", {"name": "wait", "arguments": {"seconds": seconds}}, meta=meta)

    def outcomes() -> list[str]:
        return [line["outcome"] for line in front.service.journal(lambda line: line["query"] == f"seconds={seconds}")]

    known = len(outcomes())
    before = front.gateway.figure("portico_in_flight")

    async def call() -> None:
        async with front.connection() as http:
            if meta is None:
                await http.post(front.url, **request)
            else:
                async with stream(http, "POST", front.url, **request) as events:
                    await events.rest()

    async with anyio.create_task_group() as group:
        group.start_soon(call)
        if meta is None:
            await eventually(lambda: front.gateway.figure("portico_in_flight") > before, "the call is under way")
        else:
            await eventually(lambda: front.gateway.figure("portico_streams") > 0, "the stream is open")
        await anyio.sleep(0.2)
        group.cancel_scope.cancel()
    await eventually(lambda: outcomes()[known:] == ["disconnected"], "the service notices", within=2)


# Reload and restart ---------------------------------------------------------------------------------------------------


class Load:
    """Calls without pause through a proxy; each has to be answered."""

    def __init__(self, url: str, connect: Callable[[], httpx.AsyncClient]) -> None:
        self.url = url
        self.connect = connect
        self.answered = 0
        self.stop = False

    async def run(self) -> None:
        async with self.connect() as http:
            while not self.stop:
                assert (await ask(http, self.url, "tools/call", CALL))["isError"] is False
                self.answered += 1

    async def more(self, calls: int = 50) -> None:
        wanted = self.answered + calls
        await eventually(lambda: self.answered >= wanted, "more calls")


async def test_no_call_fails_while_the_gateway_reloads(front: Front) -> None:
    load = Load(front.url, front.connection)
    async with anyio.create_task_group() as group:
        for _ in range(4):
            group.start_soon(load.run)
        for _ in range(5):
            await anyio.to_thread.run_sync(front.change)
            await load.more(20)
        load.stop = True


@pytest.mark.parametrize("proxy", sorted(PROXIES))
@pytest.mark.parametrize("workers", ["1", "2"])
async def test_no_call_fails_while_a_gateway_with_a_socket_of_systemd_starts_anew(
    tmp_path: Path, authority: Authority, service: Demo, proxy: str, workers: str
) -> None:
    """The socket outlives the process: calls that come meanwhile wait in its queue."""
    place = site(tmp_path / "proxy", authority)
    documents = tmp_path / "documents"
    documents.mkdir()
    write(documents / "a.yaml", DOCUMENT.format(base=service.url, more=""))
    settings = ["--workers", workers, "--public-url", place.url, "--trusted-proxy", "127.0.0.1"]

    def connect() -> httpx.AsyncClient:
        return httpx.AsyncClient(
            verify=authority.client,
            limits=httpx.Limits(max_connections=1),
            timeout=WAIT,
            trust_env=False,
            headers={"accept": BOTH},
        )

    load = Load(f"{place.url}/a/mcp", connect)
    with socket.create_server(("127.0.0.1", 0), backlog=1024) as listener, ExitStack() as stack:
        listening_at = f"127.0.0.1:{listener.getsockname()[1]}"
        before = stack.enter_context(gateway(tmp_path, documents, *settings, name="before", listener=listener))
        stack.enter_context(PROXIES[proxy](place, listening_at))
        async with anyio.create_task_group() as group:
            for _ in range(8):
                group.start_soon(load.run)
            await load.more()
            assert await anyio.to_thread.run_sync(before.end) == 0
            started = gateway(tmp_path, documents, *settings, name="after", listener=listener)
            await anyio.to_thread.run_sync(stack.enter_context, started)
            await load.more()
            load.stop = True
