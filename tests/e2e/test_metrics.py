"""Metrics and traces of real processes: two workers are one gateway to a scrape, their restarts are counted, and an
endpoint in the environment is enough for traces."""

import os
import signal
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families
from tests.e2e.processes import Gateway, gateway, get, post, until, write
from tests.fakes.collector import collecting

from portico.observe.metrics import METRICS

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(120)]

DOCUMENT = """
version: 1
name: a
routers: [{prefix: /a, server: a}]
servers: [{name: a}]
resources: [{uri: "test://a", name: a, text: hello}]
"""
READ = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "resources/read",
    "params": {
        "uri": "test://a",
        "_meta": {
            "io.modelcontextprotocol/protocolVersion": "2026-07-28",
            "io.modelcontextprotocol/clientCapabilities": {},
        },
    },
}
HEADERS = {
    "Accept": "application/json, text/event-stream",
    "MCP-Protocol-Version": "2026-07-28",
    "Mcp-Method": "resources/read",
    "Mcp-Name": "test://a",
}


@pytest.fixture
def documents(tmp_path: Path) -> Path:
    directory = tmp_path / "documents"
    directory.mkdir()
    write(directory / "a.yaml", DOCUMENT)
    return directory


def read(running: Gateway) -> None:
    answer = post(f"{running.url}/a/mcp", json=READ, headers=HEADERS)
    assert answer.status_code == 200, answer.text


def samples(running: Gateway, name: str) -> dict[tuple[str, ...], float]:
    """By the values of the labels, in the order of the metric's."""
    text = get(f"{running.admin}/metrics").text
    labels = METRICS[name.removesuffix("_count")].labels
    return {
        tuple(sample.labels[label] for label in labels): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == name
    }


def test_two_workers_are_scraped_as_one_gateway_and_their_restarts_are_counted(tmp_path: Path, documents: Path) -> None:
    with gateway(tmp_path, documents, "--workers", "2") as running:
        for _ in range(12):
            read(running)
        calls = ("/a", "resources/read", "test://a", "ok")
        assert samples(running, "portico_call_duration_seconds_count") == {calls: 12}
        assert samples(running, "portico_workers") == {(): 2}
        assert samples(running, "portico_endpoints") == {(): 1}
        memory = samples(running, "process_resident_memory_bytes")
        assert memory.keys() == {("0",), ("1",)}
        assert all(20e6 < value < 500e6 for value in memory.values())
        assert samples(running, "portico_worker_restarts_total") == {(): 0}
        victim = next(iter(running.pids().values()))
        os.kill(victim, signal.SIGKILL)
        until(lambda: samples(running, "portico_worker_restarts_total") == {(): 1}, "the restart is counted", within=10)
        assert samples(running, "process_resident_memory_bytes").keys() == {("0",), ("1",)}


def test_the_standard_variable_is_enough_for_traces_of_every_worker(tmp_path: Path, documents: Path) -> None:
    with collecting() as collector:
        env = {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url, "OTEL_RESOURCE_ATTRIBUTES": "deployment.environment=test"}
        with gateway(tmp_path, documents, "--workers", "2", "--trace-ratio", "1", env=env) as running:
            for _ in range(4):
                read(running)
            # What was not sent yet is sent at the end.
            assert running.end() == 0
        assert len(collector.spans) == 4
        for span in collector.spans:
            assert span.name == "resources/read"
            assert span.attributes["mcp.resource.uri"] == "test://a"
            assert span.resource["service.name"] == "portico"
            assert span.resource["deployment.environment"] == "test"
