"""The official conformance suite against an endpoint that is nothing but a document over a REST service."""

import re
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from tests.conformance.endpoint import HERE, endpoint
from tests.conformance.suite import run_suite

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(240)]

# How many scenarios the suite scores; fewer would mean that it did not get far.
SCORED = {"2025-11-25": 30, "2026-07-28": 37}
# What needs an upstream that asks or notifies the client. Nothing else may ever be excused.
EXCUSABLE = re.compile(r"tools-call-sampling|tools-call-elicitation|elicitation-sep\d+-[a-z]+|input-required-result-.+")


def excuses() -> set[tuple[str, str]]:
    """Pairs of revision and scenario."""
    lines = (HERE / "excuses.txt").read_text().splitlines()
    entries = [line.partition("#") for line in lines if line and not line.startswith("#")]
    assert all(reason.strip() for _, _, reason in entries), "an excuse has a reason"
    pairs = [tuple(entry.split()) for entry, _, _ in entries]
    assert len(set(pairs)) == len(pairs), "each scenario is excused once"
    return {(revision, scenario) for revision, scenario in pairs}


@pytest.fixture(scope="module", params=[1, 2], ids=["one-worker", "two-workers"])
def url(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with endpoint(tmp_path_factory.mktemp("conformance"), request.param) as address:
        yield address


def test_only_what_needs_an_upstream_that_asks_or_notifies_is_excused() -> None:
    for revision, scenario in excuses():
        assert revision in SCORED
        assert EXCUSABLE.fullmatch(scenario), f"{scenario} has to pass"


@pytest.mark.parametrize("revision", SCORED)
def test_every_scenario_passes_that_is_not_excused(url: str, revision: str, tmp_path: Path) -> None:
    outcome = run_suite(url, revision, tmp_path)
    assert len(outcome.scored) == SCORED[revision]
    excused = {scenario for of, scenario in excuses() if of == revision}
    assert {name: outcome.reasons[name] for name in outcome.failed - excused} == {}
    assert excused - outcome.failed == set(), "these excuses are stale"


@pytest.mark.parametrize("wish", [{}, {"progressToken": "p"}, {"io.modelcontextprotocol/logLevel": "info"}])
def test_a_header_that_is_missing_is_a_bad_request_whatever_the_client_wants_to_hear(
    url: str, wish: dict[str, str]
) -> None:
    """The suite asks this of calls whose answer is no stream only."""
    meta = {
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientCapabilities": {},
        **wish,
    }
    params = {"name": "test_x_mcp_header", "arguments": {"region": "eu"}, "_meta": meta}
    headers = {
        "Accept": "application/json, text/event-stream",
        "MCP-Protocol-Version": "2026-07-28",
        "Mcp-Method": "tools/call",
        "Mcp-Name": "test_x_mcp_header",
    }
    message = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}
    answer = httpx.post(url, json=message, headers=headers, timeout=30, trust_env=False)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, -32020)
    headers["Mcp-Param-Region"] = "eu"
    assert httpx.post(url, json=message, headers=headers, timeout=30, trust_env=False).status_code == 200
