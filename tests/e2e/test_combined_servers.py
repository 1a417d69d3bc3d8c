"""Five MCP servers as people install them, as one endpoint: a call through it is the same call made directly."""

import json
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.clients.driver import run_driver
from tests.e2e.processes import Gateway, gateway
from tests.e2e.test_registry_upstreams import Upstream, directly, everything, filesystem, git, memory, seen, time

pytestmark = [pytest.mark.e2e, pytest.mark.anyio, pytest.mark.timeout(120)]

CLIENTS = [("python", "legacy", "http"), ("typescript-v1", "legacy", "sse"), ("inspector", "legacy", "http")]


@dataclass(frozen=True)
class Combined:
    running: Gateway
    upstreams: dict[str, Upstream]


@pytest.fixture(scope="module")
def combined(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Combined]:
    folder = tmp_path_factory.mktemp("combined")
    with ExitStack() as stack:
        upstreams = {
            "everything": stack.enter_context(everything(folder, "stdio")),
            "filesystem": filesystem(folder),
            "memory": memory(folder),
            "time": time(),
            "git": git(folder),
        }
        documents = folder / "documents"
        documents.mkdir()
        write(documents, upstreams)
        yield Combined(stack.enter_context(gateway(folder, documents)), upstreams)


def write(documents: Path, upstreams: dict[str, Upstream]) -> None:
    text = {
        "version": 1,
        "name": "combined",
        "routers": [{"prefix": "/all", "server": "all"}],
        "servers": [{"name": "all", "include": [{"mcpServer": name, "prefix": f"{name}-"} for name in upstreams]}],
        "mcpServers": {name: upstream.entry for name, upstream in upstreams.items()},
    }
    (documents / "combined.json").write_text(json.dumps(text))


@pytest.mark.parametrize(("kind", "mode", "transport"), CLIENTS)
async def test_a_combined_call_is_the_same_call_made_directly(
    combined: Combined, kind: str, mode: str, transport: str
) -> None:
    url = f"{combined.running.url}/all/{'sse' if transport == 'sse' else 'mcp'}"
    wanted = [(name, *call) for name, upstream in combined.upstreams.items() for call in upstream.calls]
    operations = [{"op": "callTool", "name": f"{name}-{tool}", "arguments": given} for name, tool, given in wanted]
    listed, *answers = run_driver(kind, url, [{"op": "listTools"}, *operations], mode=mode, transport=transport)
    direct = {
        name: [seen(answer) for answer in await directly(upstream)] for name, upstream in combined.upstreams.items()
    }
    expected = [f"{name}-{tool['name']}" for name, found in direct.items() for tool in found[0]["tools"]]
    # A client that can do more than the direct one, such as name its roots, is offered more by some servers.
    assert [tool["name"] for tool in listed["result"]["tools"] if tool["name"] in expected] == expected
    assert [seen(answer["result"]) for answer in answers] == [said for found in direct.values() for said in found[1:]]
