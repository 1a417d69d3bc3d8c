"""The drivers of real MCP clients, against a server that is known to be right.

A driver that fails here would otherwise look like a fault of the gateway.
"""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.clients.driver import MODES, WAYS, DriverFailed, run_driver
from tests.fakes.ports import free_port

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(120)]

FIXTURE = Path(__file__).parent.parent / "fakes" / "everything_fixture.py"
PATHS = {"http": "/mcp", "sse": "/sse"}
WAIT = 30

OPERATIONS = [
    {"op": "serverInfo"},
    {"op": "listTools"},
    {"op": "callTool", "name": "test_simple_text", "arguments": {}},
    {"op": "listPrompts"},
    {"op": "getPrompt", "name": "test_prompt_with_arguments", "arguments": {"arg1": "one", "arg2": "two"}},
    {"op": "listResources"},
    {"op": "listTemplates"},
    {"op": "readResource", "uri": "test://static-text"},
    {"op": "readResource", "uri": "test://no-such-resource"},
]


def connects(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


def wait_until_open(port: int, process: subprocess.Popen[bytes]) -> None:
    """The fixture cannot say when it listens, so its port is tried until a deadline."""
    deadline = time.monotonic() + WAIT
    while not connects(port):
        assert process.poll() is None, f"the fixture ended with {process.returncode}"
        assert time.monotonic() < deadline, f"the fixture does not listen after {WAIT} s"
        time.sleep(0.05)


@pytest.fixture(scope="module")
def fixtures() -> Iterator[dict[str, str]]:
    """The URL of the everything server over each transport."""
    processes: list[subprocess.Popen[bytes]] = []
    urls: dict[str, str] = {}
    try:
        for transport, path in PATHS.items():
            port = free_port()
            command = [sys.executable, str(FIXTURE), transport, str(port)]
            processes.append(subprocess.Popen(command, stderr=subprocess.DEVNULL))
            wait_until_open(port, processes[-1])
            urls[transport] = f"http://127.0.0.1:{port}{path}"
        yield urls
    finally:
        for process in processes:
            os.kill(process.pid, signal.SIGKILL)
            process.wait(WAIT)


# Of each client the hardest way over HTTP, in which it finds out the era by itself where it can, and SSE.
HARDEST = [way for way in WAYS if way[1] == ("legacy" if way[2] == "sse" else MODES[way[0]][:2][-1])]


@pytest.mark.parametrize(("kind", "mode", "transport"), HARDEST, ids=["-".join(way) for way in HARDEST])
def test_a_real_client_works_through_its_driver(fixtures: dict[str, str], kind: str, mode: str, transport: str) -> None:
    answers = run_driver(kind, fixtures[transport], OPERATIONS, mode=mode, transport=transport)
    assert [answer["op"] for answer in answers] == [operation["op"] for operation in OPERATIONS]
    told, tools, called, prompts, prompt, resources, templates, read, missing = answers
    version = told["result"].get("protocolVersion")
    if mode == "legacy" or kind == "mcp-remote" or (kind == "fastmcp" and transport == "sse"):
        # TypeScript v1 does not say what it negotiated over the SSE transport.
        assert version == "2025-11-25" or (version is None and transport == "sse")
    else:
        assert version == "2026-07-28"
    assert "test_simple_text" in [tool["name"] for tool in tools["result"]["tools"]]
    assert called["result"]["content"] == [{"type": "text", "text": "This is a simple text response for testing."}]
    assert "test_simple_prompt" in [prompt["name"] for prompt in prompts["result"]["prompts"]]
    assert prompt["result"]["messages"][0]["content"]["text"] == "Prompt with arguments: arg1='one', arg2='two'"
    assert "test://static-text" in [resource["uri"] for resource in resources["result"]["resources"]]
    assert templates["result"]["resourceTemplates"][0]["uriTemplate"] == "test://template/{id}/data"
    assert read["result"]["contents"][0]["text"] == "This is the content of the static text resource."
    assert "Resource not found" in missing["error"]["message"]


def test_mcp_remote_speaks_the_modern_era_to_the_endpoint_when_it_may_choose(fixtures: dict[str, str]) -> None:
    operations = [{"op": "callTool", "name": "test_simple_text", "arguments": {}}]
    stamp = "io.modelcontextprotocol/serverInfo"
    (legacy,) = run_driver("mcp-remote", fixtures["http"], operations, mode="legacy")
    (modern,) = run_driver("mcp-remote", fixtures["http"], operations, mode="auto")
    assert stamp not in legacy["result"].get("_meta", {})
    assert stamp in modern["result"]["_meta"]


@pytest.mark.parametrize("kind", ["python", "fastmcp", "typescript-v1", "typescript-v2", "mcp-remote"])
def test_progress_reaches_the_caller_of_the_driver(fixtures: dict[str, str], kind: str) -> None:
    operation = {"op": "callTool", "name": "test_tool_with_progress", "arguments": {}, "progress": True}
    (called,) = run_driver(kind, fixtures["http"], [operation])
    assert [step["progress"] for step in called["result"]["progress"]] == [0, 50, 100]


@pytest.mark.parametrize("kind", ["python", "fastmcp", "typescript-v1", "typescript-v2", "mcp-remote", "inspector"])
def test_a_client_that_cannot_connect_fails_with_what_it_said(kind: str) -> None:
    with pytest.raises(DriverFailed, match=kind):
        run_driver(kind, f"http://127.0.0.1:{free_port()}/mcp", [{"op": "listTools"}], timeout=30)


def test_a_client_that_does_not_end_is_ended() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/mcp"
        with pytest.raises(DriverFailed, match="no end after 3 s"):
            run_driver("mcp-remote", url, [{"op": "ping"}], timeout=3)
