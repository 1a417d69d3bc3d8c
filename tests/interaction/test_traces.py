"""Traces: which calls have one, whose they join, what their spans say and do not say, and what the upstream learns."""

import asyncio
import socket
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.fakes.collector import Collector, Span, collecting
from tests.fakes.gateway import Gateway, running
from tests.fakes.rest import Answered
from tests.interaction.documents import USERS

from portico.settings import SettingsError, resolve

pytestmark = pytest.mark.anyio

ACCEPT = "application/json, text/event-stream"
TRACE = "0af7651916cd43dd8448eb211c80319c"
OTHER = "4bf92f3577b34da6a3ce929d0e0e4736"
SPAN = "00f067aa0ba902b7"
SAMPLED = f"00-{TRACE}-{SPAN}-01"
UNSAMPLED = f"00-{TRACE}-{SPAN}-00"
ECHO = {"name": "echo", "arguments": {"word": "a-word-of-mine"}}
TRACED = """
version: 1
name: traced
values: {base: "REST"}
routers: [{prefix: /traced, server: traced}]
servers: [{name: traced}]
tools:
  - name: own_header
    request: {url: "{{ values.base }}/own", headers: {Traceparent: "{{ request.headers.x-mine }}"}}
  - name: argument
    args: [{name: state, in: header, as: tracestate, type: string}]
    request: {url: "{{ values.base }}/argument"}
  - name: post
    args: [{name: secret_word, in: body, type: string}]
    request: {method: POST, url: "{{ values.base }}/post"}
  - name: login
    request: {url: "{{ values.base }}/login", query: {key: "{{ secrets.KEY }}"}}
  - name: nobody
    request: {url: "http://127.0.0.1:1/nobody"}
"""


@pytest.fixture
def collector() -> Iterator[Collector]:
    with collecting() as collector:
        yield collector


@pytest.fixture
async def traced(
    anyio_backend: str, tmp_path: Path, ingress: str, collector: Collector, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Any]:
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "20")
    keys = tmp_path / "secrets" / "default"
    keys.mkdir(parents=True)
    (keys / "KEY").write_text("the-secret-key")
    documents = tmp_path / "documents"
    documents.mkdir()

    def start(ratio: float = 0.0) -> Any:
        settings = {"secrets": str(keys.parent), "otlp_endpoint": collector.url, "trace_ratio": ratio}
        return running(documents, {"users.yaml": USERS, "traced.yaml": TRACED}, ingress=ingress, **settings)

    return start


async def spans(collector: Collector, count: int) -> list[Span]:
    return await asyncio.to_thread(collector.wait, lambda spans: len(spans) >= count)


def by_kind(found: list[Span]) -> tuple[Span, Span]:
    assert len(found) == 2, found
    client, server = sorted(found, key=lambda span: span.kind)
    return server, client


async def test_a_call_is_a_server_span_with_its_request_as_a_client_span(
    traced: Callable[..., Any], collector: Collector
) -> None:
    async with traced(1.0) as gateway:
        await gateway.modern("tools/call", ECHO, identifier="mine")
        server, client = by_kind(await spans(collector, 2))
        (line,) = gateway.lines()
        port = int(gateway.rest.url.rpartition(":")[2])
        assert collector.paths == ["/v1/traces"]
    assert (server.name, server.kind, server.parent, server.failed) == ("tools/call echo", "server", "", False)
    assert server.attributes == {
        "mcp.method.name": "tools/call",
        "mcp.protocol.version": "2026-07-28",
        "gen_ai.tool.name": "echo",
        "gen_ai.operation.name": "execute_tool",
        "jsonrpc.request.id": "mine",
        "network.transport": "tcp",
        "network.protocol.name": "http",
        "client.address": "127.0.0.1",
        "portico.call.id": line["call"],
        "portico.endpoint": "/users",
    }
    assert server.resource.items() >= {"service.name": "portico"}.items()
    assert (client.name, client.kind, client.parent) == ("GET", "client", server.span)
    assert client.attributes == {
        "http.request.method": "GET",
        "http.response.status_code": 200,
        "url.full": f"{gateway.rest.url}/echo?word=a-word-of-mine",
        "server.address": "127.0.0.1",
        "server.port": port,
        "network.protocol.name": "http",
        "network.protocol.version": "1.1",
    }
    assert client.trace == server.trace == line["trace"]
    assert 0 < client.nanoseconds <= server.nanoseconds


async def test_a_call_in_a_session_says_its_revision_and_never_the_id_of_the_session(
    traced: Callable[..., Any], collector: Collector
) -> None:
    async with traced(1.0) as gateway:
        client = await gateway.open()
        await client.request("tools/call", ECHO)
        await client.request("tools/call", ECHO)
        found = [span for span in await spans(collector, 5) if span.name == "tools/call echo"]
        session = client.identifier
    assert {span.attributes["mcp.protocol.version"] for span in found} == {"2025-11-25"}
    assert len({span.attributes["mcp.session.id"] for span in found}) == 1
    assert session.encode() not in collector.raw


async def test_calls_over_sse_and_in_streams_have_spans_too(traced: Callable[..., Any], collector: Collector) -> None:
    async with traced(1.0) as gateway:
        sse = await gateway.open_sse()
        await sse.request("tools/call", ECHO)
        wire = await gateway.modern_stream("tools/call", ECHO, meta={"progressToken": 1})
        await wire.event()
        names = sorted(span.name for span in await spans(collector, 5))
        sse.wire.abort()
        wire.abort()
    assert names == ["GET", "GET", "initialize", "tools/call echo", "tools/call echo"]


@pytest.mark.parametrize("era", ["modern", "legacy"])
@pytest.mark.parametrize("where", ["header", "meta"])
async def test_a_sampled_trace_of_the_client_is_joined_and_handed_on(
    era: str, where: str, traced: Callable[..., Any], collector: Collector
) -> None:
    context = {"traceparent": SAMPLED, "tracestate": "rojo=00f067aa0ba902b7,congo=t61rcWkgMzE"}
    headers = context if where == "header" else {}
    params = ECHO | ({"_meta": context} if where == "meta" else {})
    async with traced() as gateway:
        if era == "modern":
            meta = context if where == "meta" else {}
            await gateway.modern("tools/call", ECHO, headers=headers, meta=meta)
        else:
            await (await gateway.open()).request("tools/call", params, headers=headers)
        server, client = by_kind(await spans(collector, 2))
        (seen,) = gateway.rest.requests
        assert gateway.lines()[-1]["trace"] == TRACE
    assert (server.trace, server.parent, client.trace) == (TRACE, SPAN, TRACE)
    assert server.state == context["tracestate"]
    # Bit 1 is sampled. The client's span id is never the one that the upstream hangs on.
    assert seen.headers["traceparent"] == f"00-{TRACE}-{client.span}-01"
    assert seen.headers["tracestate"] == context["tracestate"]


async def test_the_context_of_the_message_wins_over_that_of_its_http_request(
    traced: Callable[..., Any], collector: Collector
) -> None:
    around = f"00-{OTHER}-{SPAN}-01"
    async with traced() as gateway:
        await gateway.modern("tools/call", ECHO, headers={"traceparent": around}, meta={"traceparent": SAMPLED})
        server, _ = by_kind(await spans(collector, 2))
        assert (server.trace, server.links) == (TRACE, (OTHER,))
        collector.spans.clear()
        # One that says nothing usable counts as not sent.
        await gateway.modern("tools/call", ECHO, headers={"traceparent": around}, meta={"traceparent": "00-zz-zz-01"})
        server, _ = by_kind(await spans(collector, 2))
        assert (server.trace, server.links) == (OTHER, ())
        collector.spans.clear()
        await gateway.modern("tools/call", ECHO, headers={"traceparent": around}, meta={"traceparent": UNSAMPLED})
    assert collector.spans == []


async def test_a_call_of_an_unsampled_trace_has_no_span_and_tells_the_upstream_nothing(
    traced: Callable[..., Any], collector: Collector
) -> None:
    async with traced(1.0) as gateway:
        await gateway.modern("tools/call", ECHO, headers={"traceparent": UNSAMPLED})
        await gateway.modern("tools/call", ECHO, meta={"traceparent": UNSAMPLED})
        lines = gateway.lines()
        assert all("traceparent" not in seen.headers for seen in gateway.rest.requests)
    assert len(lines) == 2
    assert all("trace" not in line for line in lines)
    assert collector.spans == []


async def test_the_ratio_decides_for_calls_without_a_trace(traced: Callable[..., Any], collector: Collector) -> None:
    async with traced(0.0) as gateway:
        for _ in range(20):
            await gateway.modern("tools/call", ECHO)
    assert collector.spans == []
    async with traced(0.5) as gateway:
        for _ in range(60):
            await gateway.modern("tools/list")
        count = sum("trace" in line for line in gateway.lines())
    # The chance of fewer or more than these by accident is below one in ten million.
    assert 8 < count < 52


async def test_clients_cannot_have_every_call_sampled(traced: Callable[..., Any], collector: Collector) -> None:
    async with traced(0.0) as gateway:
        began = time.monotonic()
        for _ in range(8):
            await flood(gateway, 40, {"traceparent": SAMPLED})
        seconds = time.monotonic() - began
        joined = sum("trace" in line for line in gateway.lines())
    assert 100 <= joined <= 100 * (seconds + 1)
    assert joined < 320 or seconds > 2


@pytest.mark.parametrize("tool", ["own_header", "argument"])
async def test_a_header_that_the_document_writes_is_not_replaced(
    tool: str, traced: Callable[..., Any], collector: Collector
) -> None:
    async with traced() as gateway:
        params = {"name": tool, "arguments": {"state": "mine=1"} if tool == "argument" else {}}
        await gateway.modern("tools/call", params, path="/traced", headers={"traceparent": SAMPLED, "x-mine": "own"})
        await spans(collector, 2)
        (seen,) = gateway.rest.requests
    if tool == "own_header":
        assert seen.headers["traceparent"] == "own"
        assert "tracestate" not in seen.headers
    else:
        assert seen.headers["tracestate"] == "mine=1"
        assert "traceparent" not in seen.headers


async def test_no_secret_and_no_body_becomes_part_of_a_span(traced: Callable[..., Any], collector: Collector) -> None:
    async with traced(1.0) as gateway:
        await gateway.modern("tools/call", {"name": "login"}, path="/traced")
        arguments = {"secret_word": "a-word-of-mine"}
        await gateway.modern("tools/call", {"name": "post", "arguments": arguments}, path="/traced")
        found = await spans(collector, 4)
        login, post = gateway.rest.requests
    assert login.target == "/login?key=the-secret-key"
    assert post.json == {"secret_word": "a-word-of-mine"}
    assert post.headers["traceparent"][3:35] == found[2].trace
    assert b"the-secret-key" not in collector.raw
    assert b"a-word-of-mine" not in collector.raw
    assert b"target" not in collector.raw
    assert any(span.attributes.get("url.full", "").endswith("/login?key=REDACTED") for span in found)


async def test_spans_say_how_calls_failed(traced: Callable[..., Any], collector: Collector) -> None:
    async with traced(1.0) as gateway:
        gateway.rest.answers["/echo"] = Answered(b'{"why": "no-word-of-this"}', 503)
        await gateway.modern("tools/call", ECHO)
        server, client = by_kind(await spans(collector, 2))
        assert (server.failed, server.message, server.attributes["error.type"]) == (True, "", "tool_error")
        assert (client.failed, client.attributes["error.type"]) == (True, "503")
        assert client.attributes["http.response.status_code"] == 503
        collector.spans.clear()
        await gateway.modern("tools/call", {"name": "nobody"}, path="/traced")
        server, client = by_kind(await spans(collector, 2))
        assert server.attributes["error.type"] == "tool_error"
        assert client.attributes["error.type"] == "Unreachable"
        collector.spans.clear()
        await gateway.modern("tools/call", {"name": "no-word-of-this"})
        (server,) = await spans(collector, 1)
        assert (server.name, server.attributes["error.type"]) == ("tools/call", "-32602")
        assert server.attributes["rpc.response.status_code"] == "-32602"
        collector.spans.clear()
        await gateway.modern("no/such/method")
        (server,) = await spans(collector, 1)
        assert (server.name, server.attributes["mcp.method.name"]) == ("unknown", "no/such/method")
    assert b"no-word-of-this" not in collector.raw


@pytest.mark.parametrize(
    "header",
    ["", "00", f"00-{TRACE}-{SPAN}", f"00-{'0' * 32}-{SPAN}-01", f"00-{TRACE}-{'0' * 16}-01", f"ff-{TRACE}-{SPAN}-01",
     f"00-{TRACE.upper()}-{SPAN}-01", f"00-{TRACE}-{SPAN}-01-more", f"{SAMPLED}, {SAMPLED}", "x" * 4000],
)  # fmt: skip
async def test_a_traceparent_of_another_form_counts_as_not_sent(
    header: str, traced: Callable[..., Any], collector: Collector
) -> None:
    async with traced(1.0) as gateway:
        await gateway.modern("tools/list", headers={"traceparent": header})
        (server,) = await spans(collector, 1)
    assert server.parent == ""
    assert server.trace != TRACE


@pytest.mark.parametrize(
    "state",
    ["a=1\r\nX-Evil: yes", "no member", "A=1", "a=1,b", "a=é", ",".join(f"k{n}=1" for n in range(33)), "a=" * 400],
)
async def test_a_tracestate_of_another_form_is_dropped_and_never_written_into_a_request(
    state: str, traced: Callable[..., Any], collector: Collector
) -> None:
    async with traced() as gateway:
        await gateway.modern("tools/call", ECHO, meta={"traceparent": SAMPLED, "tracestate": state})
        server, _ = by_kind(await spans(collector, 2))
        (seen,) = gateway.rest.requests
        said = gateway.log()
    assert server.state == ""
    assert "x-evil" not in seen.headers
    assert "tracestate" not in seen.headers
    assert seen.headers["traceparent"].startswith(f"00-{TRACE}-")
    # A client must not be able to fill the log either.
    assert "tracestate" not in said
    assert "w3c" not in said


@pytest.mark.slow
async def test_a_collector_that_does_not_answer_slows_no_call_and_no_end(
    tmp_path: Path, ingress: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "20")
    with socket.create_server(("127.0.0.1", 0), backlog=1) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        settings = {"otlp_endpoint": url, "trace_ratio": 1.0}
        async with running(tmp_path, {"users.yaml": USERS}, ingress=ingress, **settings) as gateway:
            began = time.monotonic()
            # More spans than the queue holds, so that it overflows as well.
            for _ in range(55):
                await flood(gateway, 40)
            served = time.monotonic() - began
            began = time.monotonic()
        ended = time.monotonic() - began
    # Each wait for the collector would take ten seconds.
    assert served < 60.0
    assert ended < 8.0


async def flood(gateway: Gateway, count: int, headers: dict[str, str] | None = None) -> None:
    """So many pings at once, all of them answered."""

    async def ask() -> None:
        message = {"jsonrpc": "2.0", "id": 1, "method": "ping"}
        reply = await gateway.http.post("/users/mcp", json=message, headers={"Accept": ACCEPT, **(headers or {})})
        assert reply.status_code == 200

    await asyncio.gather(*(ask() for _ in range(count)))


def test_the_standard_variable_names_the_collector_and_portico_s_own_wins() -> None:
    standard = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://standard:4318"}
    found = resolve({}, standard)
    assert (found.settings.otlp_endpoint, found.origins["otlp_endpoint"]) == (
        "http://standard:4318",
        "OTEL_EXPORTER_OTLP_ENDPOINT",
    )
    own = {**standard, "PORTICO_OTLP_ENDPOINT": "http://own:4318"}
    assert resolve({}, own).settings.otlp_endpoint == "http://own:4318"
    with pytest.raises(SettingsError, match="otlp-endpoint"):
        resolve({"otlp_endpoint": "collector:4318"}, {})
    with pytest.raises(SettingsError, match="trace-ratio"):
        resolve({"trace_ratio": 1.5}, {})


async def test_without_an_endpoint_nothing_of_opentelemetry_is_loaded(gateway: Gateway) -> None:
    assert (await gateway.modern("tools/call", ECHO, headers={"traceparent": SAMPLED})).status == 200
    assert "traceparent" not in gateway.rest.requests[-1].headers
    code = (
        "import sys, portico.apps.worker; print([n for n in sys.modules if n.startswith(('opentelemetry', 'google'))])"
    )
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", code, stdout=asyncio.subprocess.PIPE)
    out, _ = await asyncio.wait_for(process.communicate(), 30)
    assert out.strip() == b"[]"
