"""MCP servers behind the gateway, with real clients: what they get through it is what they get without it."""

import json
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.clients.driver import WAYS, run_driver
from tests.conformance.upstreams import everything
from tests.e2e.conversation import modern_request
from tests.e2e.processes import Gateway, gateway, post, until, write

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(120)]

OPERATIONS: list[dict[str, Any]] = [
    {"op": "listTools"},
    {"op": "callTool", "name": "test_simple_text", "arguments": {}},
    {"op": "callTool", "name": "test_multiple_content_types", "arguments": {}},
    {"op": "callTool", "name": "test_error_handling", "arguments": {}},
    {"op": "listPrompts"},
    {"op": "getPrompt", "name": "test_prompt_with_arguments", "arguments": {"arg1": "a", "arg2": "b"}},
    {"op": "listResources"},
    {"op": "listTemplates"},
    {"op": "readResource", "uri": "test://static-binary"},
    {"op": "readResource", "uri": "test://template/7/data"},
]


def document(url: str) -> str:
    return json.dumps(
        {
            "version": 1,
            "name": "relayed",
            "routers": [{"prefix": "/demo", "server": "everything"}],
            "mcpServers": {"everything": {"url": url}},
        }
    )


def serving(folder: Path, url: str) -> Path:
    """A directory with the one document that relays to `url`."""
    documents = folder / "documents"
    documents.mkdir(exist_ok=True)
    write(documents / "relayed.json", document(url))
    return documents


@pytest.fixture(scope="module")
def upstream(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with everything(tmp_path_factory.mktemp("upstream"), "http") as (url, _):
        yield url


@pytest.fixture(scope="module", params=[1, 2], ids=["one-worker", "two-workers"])
def relay(request: pytest.FixtureRequest, upstream: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    folder = tmp_path_factory.mktemp("relay")
    with gateway(folder, serving(folder, upstream), "--workers", str(request.param)) as running:
        yield running


@pytest.mark.parametrize(("kind", "mode", "transport"), [way for way in WAYS if way[0] not in ("inspector", "fastmcp")])
def test_a_client_gets_through_the_gateway_what_it_gets_directly(
    relay: Gateway, upstream: str, kind: str, mode: str, transport: str
) -> None:
    path = "sse" if transport == "sse" else "mcp"
    through = run_driver(kind, f"{relay.url}/demo/{path}", OPERATIONS, mode=mode, transport=transport)
    # The fixture's own /mcp has no SSE; what it says is the same over every transport.
    directly = run_driver(kind, upstream, OPERATIONS, mode=mode if transport == "http" else "legacy")
    assert [without_era(answer) for answer in through] == [without_era(answer) for answer in directly]


def without_era(answer: dict[str, Any]) -> dict[str, Any]:
    """What tells one era from the other, and nothing of what was said."""
    result = {key: value for key, value in answer.get("result", {}).items() if key not in ERA}
    return {**answer, "result": result} if "result" in answer else answer


ERA = ("resultType", "ttlMs", "cacheScope", "_meta", "nextCursor")


def test_an_upstream_that_is_gone_is_named_and_found_again_when_it_is_back(tmp_path: Path) -> None:
    with everything(tmp_path, "http") as (url, process):
        port = int(url.rsplit(":", 1)[1].split("/")[0])
        with gateway(tmp_path, serving(tmp_path, url)) as running:
            assert call(running)["result"]["content"][0]["text"].startswith("This is a simple text")
            process.send_signal(signal.SIGKILL)
            process.wait(10)
            answer = call(running)
            assert "everything" in answer["error"]["message"]
            assert str(port) in answer["error"]["message"]
            with everything(tmp_path, "http", port):
                until(lambda: "result" in call(running), "the upstream is called again")


def test_an_upstream_whose_document_changes_is_replaced_and_one_that_does_not_is_kept(tmp_path: Path) -> None:
    with everything(tmp_path, "http") as (url, _), gateway(tmp_path, serving(tmp_path, url)) as running:
        call(running)
        since = health(running)["since"]
        write(tmp_path / "documents" / "other.yaml", "version: 1\nname: other\n")
        assert running.reload()["changed"]
        assert health(running)["since"] == since
        serving(tmp_path, f"{url}?changed=1")
        assert running.reload()["changed"]
        assert health(running)["state"] == "onDemand"
        assert "result" in call(running)


def health(running: Gateway) -> dict[str, Any]:
    (found,) = running.status()[0]["upstreams"]
    return found


def call(running: Gateway) -> dict[str, Any]:
    request = modern_request("tools/call", {"name": "test_simple_text", "arguments": {}})
    return post(f"{running.url}/demo/mcp", **request).json()
