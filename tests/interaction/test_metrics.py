"""A scrape of a running gateway: what is there, under which labels, and what clients cannot put there."""

from collections import Counter
from io import BytesIO
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families
from tests.fakes.gateway import Gateway, body, running
from tests.fakes.rest import Answered
from tests.interaction.documents import USERS

from portico.observe.access_log import AccessLog
from portico.observe.calls import CODES, CallObserver
from portico.observe.figures import Figures
from portico.observe.metrics import METRICS
from portico.wire import errors

pytestmark = pytest.mark.anyio

MCP = "/users/mcp"
CALLS = "portico_call_duration_seconds_count"
ECHO = {"name": "echo", "arguments": {}}


class Scrape:
    """The samples of one page, by the name of the sample and its labels."""

    def __init__(self, text: str) -> None:
        self.families = {family.name: family for family in text_string_to_metric_families(text)}
        self.samples = [sample for family in self.families.values() for sample in family.samples]

    def get(self, name: str, /, **labels: str) -> float:
        """The sum of the samples that have these labels, whatever else they have."""
        return sum(s.value for s in self.samples if s.name == name and labels.items() <= s.labels.items())

    def labels(self, name: str, label: str) -> set[str]:
        return {sample.labels[label] for sample in self.samples if sample.name == name}


async def scrape(gateway: Gateway) -> Scrape:
    reply = await gateway.send("GET", "/metrics", port=gateway.admin_port)
    assert reply.status == 200
    assert reply.headers["content-type"].startswith("text/plain; version=0.0.4")
    return Scrape(reply.text)


async def test_a_scrape_has_every_metric_and_no_other(changing: Gateway) -> None:
    await changing.modern("tools/call", ECHO)
    await changing.send("GET", "/nowhere")
    found = await scrape(changing)
    kinds = {f"{name}_total" if f.type == "counter" else name: f.type for name, f in found.families.items()}
    assert kinds == {name: metric.kind for name, metric in METRICS.items()}
    for sample in found.samples:
        name = sample.name.removesuffix("_bucket").removesuffix("_count").removesuffix("_sum")
        assert set(sample.labels) - {"le"} == set(METRICS[name].labels), sample
    missing = {name for name in METRICS if not any(sample.name.startswith(name) for sample in found.samples)}
    assert missing == set()


def test_names_follow_the_conventions_of_prometheus() -> None:
    for metric in METRICS.values():
        assert (metric.kind == "counter") == metric.name.endswith("_total"), metric
        assert metric.name.startswith(("portico_", "process_"))
        assert metric.help.endswith((".", "1."))
        assert not any(unit in metric.name for unit in ("_ms", "_millis", "_kb", "_mb", "_percent"))


async def test_calls_are_counted_by_endpoint_tool_and_outcome(changing: Gateway) -> None:
    changing.rest.answers["/number"] = Answered(b"{}", 500)
    client = await changing.open()
    for _ in range(3):
        await changing.modern("tools/call", ECHO)
        await client.request("tools/call", ECHO)
    await changing.modern("tools/call", {"name": "number"})
    await changing.modern("tools/call", {"name": "user", "arguments": {"id": "seven"}})
    await changing.modern("tools/list", path="/paged")
    found = await scrape(changing)
    users: dict[str, Any] = {"endpoint": "/users", "method": "tools/call"}
    assert found.get(CALLS, **users, name="echo", outcome="ok") == 6
    assert found.get(CALLS, **users, name="number", outcome="tool error") == 1
    assert found.get(CALLS, **users, name="user", outcome="invalid arguments") == 1
    assert found.get(CALLS, endpoint="/paged", method="tools/list", name="", outcome="ok") == 1
    assert found.get(CALLS, endpoint="/users", method="initialize", outcome="ok") == 1
    assert found.get(CALLS) == 10
    buckets = [s for s in found.samples if s.name.endswith("_bucket") and s.labels["name"] == "echo"]
    assert [s.value for s in buckets] == sorted(s.value for s in buckets)
    assert (buckets[-1].labels["le"], buckets[-1].value) == ("+Inf", 6)
    assert 0 < found.get("portico_call_duration_seconds_sum", name="echo") < 6


async def test_sessions_streams_and_calls_under_way_are_gauges(changing: Gateway) -> None:
    client = await changing.open()
    sse = await changing.open_sse()
    standing = await client.get_stream()
    listen = await changing.modern_stream("subscriptions/listen", {"notifications": {"toolsListChanged": True}})
    await listen.event()
    held = await changing.modern_stream("tools/call", {"name": "hold"}, meta={"progressToken": 1})
    await changing.rest.until(changing.rest.held)
    found = await scrape(changing)
    streams = {kind: found.get("portico_streams", kind=kind) for kind in ("standing", "sse", "listen", "call")}
    assert streams == {"standing": 1, "sse": 1, "listen": 1, "call": 1}
    assert found.get("portico_streams_limit") == 10_000
    assert found.get("portico_sessions") == 2
    changing.rest.release.set()
    while await held.event():
        pass
    for wire in (sse.wire, standing, listen, held):
        wire.abort()
    after = await scrape(changing)
    assert after.get("portico_streams", kind="call") == 0


async def test_upstreams_are_counted_by_host_and_port(changing: Gateway) -> None:
    changing.write(
        "away.yaml",
        "version: 1\nname: away\nrouters: [{prefix: /away, server: away}]\nservers: [{name: away}]\n"
        "tools: [{name: away, request: {url: http://127.0.0.1:1/}}]\n",
    )
    await changing.reload()
    for _ in range(4):
        await changing.modern("tools/call", ECHO)
    await changing.modern("tools/call", {"name": "away"}, path="/away")
    found = await scrape(changing)
    upstream = changing.rest.url.removeprefix("http://")
    assert found.get("portico_upstream_requests_total", upstream=upstream) == 4
    assert found.get("portico_upstream_connects_total", upstream=upstream) == 1
    assert found.get("portico_upstream_failures_total", upstream=upstream) == 0
    assert found.get("portico_upstream_connections", upstream=upstream, state="idle") == 1
    assert found.get("portico_upstream_connections", upstream=upstream, state="busy") == 0
    away = {"upstream": "127.0.0.1:1"}
    assert found.get("portico_upstream_failures_total", **away) == 1
    assert found.get("portico_upstream_breakers_open", **away) == 0
    for _ in range(5):
        await changing.modern("tools/call", {"name": "away"}, path="/away")
    assert (await scrape(changing)).get("portico_upstream_breakers_open", **away) == 1


async def test_reloads_and_the_state_of_documents_are_told(changing: Gateway) -> None:
    before = await scrape(changing)
    changing.write("broken.yaml", "version: 1\nname: broken\ntools: [{name: x}]\n")
    await changing.reload()
    found = await scrape(changing)
    assert found.get("portico_reloads_total") == before.get("portico_reloads_total") + 1
    assert found.get("portico_reload_failures_total") == 0
    assert found.get("portico_documents", serving="current") == 1
    assert found.get("portico_documents", serving="nothing") == 1
    assert found.get("portico_problem_documents") == 1
    assert found.get("portico_problems", severity="error") > 0
    assert before.get("portico_problems", severity="error") == 0


async def test_the_process_and_the_build_are_told(changing: Gateway) -> None:
    found = await scrape(changing)
    assert found.get("portico_build_info") == 1
    assert found.get("portico_workers") == 1
    assert found.get("portico_worker_restarts_total") == 0
    for name in [name for name in METRICS if name.startswith("process_")]:
        assert found.get(name, worker="0") > 0, name
    assert 10e6 < found.get("process_resident_memory_bytes") < 2e9
    assert found.get("process_open_fds") < found.get("process_max_fds")


async def test_clients_cannot_make_labels(changing: Gateway) -> None:
    client = await changing.open()
    await changing.modern("tools/call", ECHO)
    await changing.send("GET", "/nowhere")
    await changing.modern("resources/read", {"uri": "users://1"})
    await changing.modern("no/such")
    await client.request("no/such")
    before = await scrape(changing)
    evil = [f'evil-{n}"}}\\n\n{{' for n in range(8)]
    for text in evil:
        for params in (
            {"name": text},
            {"uri": text},
            {"uri": f"users://{text}"},
            {"level": text},
            {"cursor": text},
            [],
        ):
            for method in (text, "tools/call", "tools/list", "prompts/get", "resources/read", "completion/complete"):
                raw = body(method, params)  # type: ignore[arg-type]
                await changing.send("POST", MCP, client.headers(), raw)
                await changing.send("POST", MCP, {"MCP-Protocol-Version": "2026-07-28", "Mcp-Method": "x"}, raw)
        await changing.send("POST", MCP, {"MCP-Protocol-Version": text.encode("unicode_escape").decode()}, body("ping"))
    for number in range(8):
        await changing.modern("resources/read", {"uri": f"users://evil{number}"})
        await changing.send("GET", f"/evil-{number}")
        await changing.send(f"EVIL{number}", MCP)
        await changing.send("GET", MCP, {"Mcp-Session-Id": f"evil-{number}", "Accept": "text/event-stream"})
    found = await scrape(changing)
    assert not any("evil" in value.lower() for sample in found.samples for value in sample.labels.values())
    assert found.labels(CALLS, "endpoint") <= {"/users"}
    known = {"unknown", "initialize", "ping", "tools/call", "tools/list", "prompts/get", "resources/read"}
    known.add("completion/complete")
    assert found.labels(CALLS, "method") <= known
    assert found.labels(CALLS, "name") <= {"", "echo", "user"} | before.labels(CALLS, "name")
    # What a client varies adds nothing: every series is of one method and one outcome.
    series = Counter((s.labels["method"], s.labels["name"]) for s in found.samples if s.name == CALLS)
    assert all(count <= 12 for count in series.values()), series


def test_the_codes_of_errors_that_are_labels_are_those_of_the_protocol() -> None:
    assert set(CODES) == {value for name, value in vars(errors).items() if name.isupper() and isinstance(value, int)}


def test_what_is_relayed_to_another_server_makes_no_label() -> None:
    """Its methods, names and codes are those of a client and a server that no document describes."""
    endpoint = SimpleNamespace(prefix="/e", upstream=object(), catalog=SimpleNamespace(resources={}))
    figures = Figures()
    observer = CallObserver(AccessLog("off", BytesIO()), figures, ("tools/call",))
    for number in range(9):
        call = SimpleNamespace(
            endpoint=endpoint,
            method="tools/call" if number % 2 else f"evil/{number}",
            name=f"evil{number}",
            trace=None,
            principal=None,
            call_id="1",
            address="",
            version="",
            detail="",
            started=0.0,
        )
        observer.finished(call, f"error {number}", 200, 0.1)
    assert {key for key, _, _ in figures.snapshot()["calls"]} == {
        ("/e", "tools/call", "", "error other"),
        ("/e", "unknown", "", "error other"),
    }


def test_more_series_than_the_bound_are_counted_together() -> None:
    figures = Figures()
    figures.MOST_SERIES, figures.MOST_SAMPLES = 3, 2  # type: ignore[misc]
    for number in range(10):
        figures.call("/e", "tools/call", f"tool{number}", "ok", 0.001)
    assert len(figures.snapshot()["calls"]) == 4
    figures.read_all("portico_upstream_requests_total", lambda: [((f"host{n}",), 1.0) for n in range(5)])
    ((_, samples),) = figures.snapshot()["samples"]
    assert samples == [(("host0",), 1.0), (("host1",), 1.0), (("other",), 3.0)]


async def test_the_figures_of_two_workers_are_added_up(tmp_path: Path, ingress: str) -> None:
    documents, peers, key = tmp_path / "documents", tmp_path / "peers", b"k" * 32
    documents.mkdir()
    peers.mkdir()
    more: dict[str, Any] = {"ingress": ingress, "peers": peers, "key": key}
    async with (
        running(documents, {"users.yaml": USERS}, admin=True, **more) as one,
        running(documents, {}, rest=one.rest, **more) as other,
    ):
        await one.open()
        await other.open()
        for _ in range(2):
            await one.modern("tools/call", ECHO)
        for _ in range(3):
            await other.modern("tools/call", ECHO)
        found = await scrape(one)
        assert found.get(CALLS, name="echo", outcome="ok") == 5
        assert found.get("portico_upstream_requests_total", upstream=one.rest.url.removeprefix("http://")) == 5
        assert found.get("portico_sessions") == 2
        assert found.get("portico_streams_limit") == 20_000
        assert found.get("portico_workers") == 2
        assert found.get("portico_reloads_total") == 2
        # The same documents are served by both, so these are not added up.
        assert found.get("portico_endpoints") == len(one.worker.world.live.current.endpoints)
        assert found.get("portico_documents", serving="current") == 1
        assert found.get("portico_build_info") == 1
