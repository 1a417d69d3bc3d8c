"""`portico inspect` as people type it, at a real gateway of two workers in front of real servers."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from tests.e2e.commands import run
from tests.e2e.processes import Gateway, gateway
from tests.e2e.test_registry_upstreams import memory, time
from tests.fakes.ports import free_port

from portico.config.key import key_hash, new_key

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(120)]

KEY = new_key()
TOKEN = "a-token-of-the-admin-listener"


@dataclass(frozen=True)
class Inspected:
    running: Gateway

    def report(self, *arguments: str, code: int = 0) -> dict[str, Any]:
        found = self.run(*arguments, "--json")
        assert found.returncode == code, found.stdout + found.stderr
        return json.loads(found.stdout)

    def run(self, *arguments: str) -> Any:
        admin = self.running.admin.partition("://")[2]
        return run("inspect", *arguments, "--admin", admin, env={"PORTICO_ADMIN_TOKEN": TOKEN})


@pytest.fixture(scope="module")
def inspected(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Inspected]:
    folder = tmp_path_factory.mktemp("inspected")
    guard = {"mode": "apiKey", "keys": [{"name": "reader", "hash": key_hash(KEY), "tools": ["own"]}]}
    text = {
        "version": 1,
        "name": "inspected",
        "routers": [
            {"prefix": "/all", "server": "all"},
            {"prefix": "/keyed", "server": "all", "auth": guard},
            {"prefix": "/dead", "server": "dead"},
            {"prefix": "/time", "server": "time"},
        ],
        "servers": [
            {
                "name": "all",
                "include": [
                    {"mcpServer": "time", "tools": ["*", "!convert_time"]},
                    {"mcpServer": "memory", "override": {"read_graph": {"name": "own_graph"}}},
                    {"mcpServer": "again", "tools": ["get_current_time"]},
                ],
            },
            {"name": "dead", "include": [{"mcpServer": "time", "prefix": "t-"}, {"mcpServer": "gone"}]},
        ],
        "tools": [{"name": "own", "request": {"url": "http://127.0.0.1:9/own"}}],
        "mcpServers": {
            "time": time().entry,
            "again": time().entry,
            "memory": memory(folder).entry,
            "gone": {"url": f"http://127.0.0.1:{free_port()}/mcp"},
        },
    }
    documents = folder / "documents"
    documents.mkdir()
    (documents / "inspected.json").write_text(json.dumps(text))
    with gateway(folder, documents, "--workers", "2", "--admin-token", TOKEN) as running:
        yield Inspected(running)


def test_a_prefix_tells_what_is_offered_from_where_and_what_is_hidden_why(inspected: Inspected) -> None:
    found = inspected.report("/all")
    origins = {tool["name"]: tool["from"] for tool in found["tools"]}
    assert origins["own"] == "the document"
    assert origins["get_current_time"] == "time"
    assert origins["own_graph"] == "memory"
    assert all(tool["eras"] == ["modern", "legacy"] for tool in found["tools"])
    hidden = {(each["name"], each["server"]): each["why"] for each in found["hidden"]}
    assert hidden["convert_time", "time"].startswith("the document does not include it")
    assert hidden["get_current_time", "again"] == "time has the same and comes first"
    assert {each["name"] for each in found["hidden"]} == {"convert_time", "get_current_time"}
    assert found["endpoint"] == {"document": "inspected", "kind": "aggregate", "guarded": False}


def test_each_leg_has_its_era(inspected: Inspected) -> None:
    modern, legacy = inspected.report("/all")["legs"]
    assert (modern["client"], modern["version"]) == ("modern", "2026-07-28")
    assert (legacy["client"], legacy["version"]) == ("legacy", "2025-11-25")
    assert modern["upstreams"] == {"time": "modern", "memory": "legacy", "again": "modern"}
    assert legacy["upstreams"] == {"time": "legacy", "memory": "legacy", "again": "legacy"}


def test_the_tokens_of_the_tools_are_estimated_and_it_is_said_how(inspected: Inspected) -> None:
    found = inspected.report("/all")
    assert found["tokens"]["modern"] == sum(tool["tokens"] for tool in found["tools"])
    assert found["tokens"]["modern"] == found["tokens"]["legacy"] > 500
    assert "4.5 bytes" in found["tokens"]["how"]


def test_a_server_that_is_away_is_named_and_is_a_failure(inspected: Inspected) -> None:
    found = inspected.report("/dead", code=1)
    time, gone = found["servers"]
    assert (time["name"], time["prefixes"], time["reason"]) == ("time", ["t-"], "")
    assert gone["name"] == "gone"
    assert gone["state"] == "down"
    assert "gone" in gone["reason"]
    assert {tool["from"] for tool in found["tools"]} == {"time", "the document"}


def test_it_is_readable_in_a_terminal(inspected: Inspected) -> None:
    lines = inspected.run("/all").stdout.splitlines()
    assert lines[0] == f"{inspected.running.url}/all/mcp"
    assert lines[1] == "Of the document inspected: combines servers."
    assert "  client – gateway   modern 2026-07-28" in lines
    assert "    gateway – memory   legacy, translated" in lines
    assert "    gateway – memory   legacy" in lines
    assert any(line.startswith("Tools: 11, about ") for line in lines)
    assert any(line.split()[:2] == ["own_graph", "memory"] for line in lines)
    assert "Remarks" in lines


def test_a_url_is_asked_as_a_client_asks_it(inspected: Inspected) -> None:
    through, as_client = inspected.report("/all"), inspected.report(f"{inspected.running.url}/all/mcp")
    assert [tool["name"] for tool in as_client["tools"]] == [tool["name"] for tool in through["tools"]]
    assert as_client["endpoint"] is None
    assert {tool["from"] for tool in as_client["tools"]} == {None}
    assert [(leg["client"], leg["spoken"]) for leg in as_client["legs"]] == [("modern", True), ("legacy", True)]
    over_sse = inspected.report(f"{inspected.running.url}/all/sse")
    assert [(leg["client"], leg["spoken"]) for leg in over_sse["legs"]] == [("modern", False), ("legacy", True)]


def test_a_relayed_server_has_all_of_its_tools_from_there(inspected: Inspected) -> None:
    found = inspected.report("/time")
    origins = {tool["name"]: tool["from"] for tool in found["tools"]}
    assert origins == {"get_current_time": "time", "convert_time": "time"}


def test_a_key_goes_in_a_header_and_shows_what_it_allows(inspected: Inspected) -> None:
    found = inspected.report("/keyed", "--header", f"X-API-Key: {KEY}")
    assert [tool["name"] for tool in found["tools"]] == ["own"]
    assert "this caller may not use it" in {each["why"] for each in found["hidden"]}
    without = inspected.report("/keyed", code=1)
    assert without["endpoint"]["guarded"]
    assert all("401" in leg["failure"] for leg in without["legs"])


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["/nowhere"], "has no endpoint /nowhere. It serves /all, /dead, /keyed, /time."),
        (["/all", "--header", "nonsense"], "is no header: write it as 'Name: value'."),
    ],
)
def test_what_cannot_be_inspected_is_refused_with_a_mend(inspected: Inspected, arguments: list[str], said: str) -> None:
    found = inspected.run(*arguments)
    assert found.returncode == 2
    assert said in found.stderr


def test_without_a_gateway_it_says_whom_it_asked(tmp_path: Path) -> None:
    port = free_port()
    found = run("inspect", "/all", "--admin", f"127.0.0.1:{port}")
    assert found.returncode == 2
    assert f"The gateway's admin listener at 127.0.0.1:{port} did not answer" in found.stderr
    found = run("inspect", f"http://127.0.0.1:{port}/mcp")
    assert found.returncode == 1
    assert "no answer" in found.stdout
