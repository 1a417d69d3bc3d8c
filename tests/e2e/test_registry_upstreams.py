"""MCP servers as people install them, behind the gateway: a call through it is the same call made directly."""

import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from mcp import StdioServerParameters
from mcp.client.client import Client
from mcp.client.sse import sse_client
from mcp.client.stdio import stdio_client
from tests.clients.driver import run_driver
from tests.clients.programs import MODULES, NODE
from tests.conformance.upstreams import wait_until_open
from tests.e2e.processes import Gateway, gateway
from tests.e2e.running import stop
from tests.fakes.ports import free_port

pytestmark = [pytest.mark.e2e, pytest.mark.anyio, pytest.mark.timeout(120)]

# Both eras where the upstream has both, and the SSE that most of these servers do not speak themselves.
CLIENTS = [("python", "auto", "http"), ("typescript-v2", "auto", "http"), ("typescript-v1", "legacy", "sse")]
NAMES = ("everything-stdio", "everything-sse", "everything-http", "filesystem", "memory", "time", "git", "fetch")
PAGES = {
    "/robots.txt": ("text/plain", "User-agent: *\nDisallow: /closed\n"),
    "/open": ("text/html", "<html><body><h1>Open</h1><p>To everyone.</p></body></html>"),
    "/closed": ("text/html", "<html><body><p>Not to machines.</p></body></html>"),
}


@dataclass(frozen=True)
class Upstream:
    """What a document says of it, and the calls to make."""

    entry: dict[str, Any]
    calls: list[tuple[str, dict[str, Any]]]


@dataclass(frozen=True)
class Field:
    """The gateway with every upstream, and the paths that were fetched from the page."""

    running: Gateway
    upstreams: dict[str, Upstream]
    fetched: list[str] = field(default_factory=list)


@pytest.fixture(scope="module")
def everywhere(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Field]:
    folder = tmp_path_factory.mktemp("registry")
    with ExitStack() as stack:
        url, fetched = stack.enter_context(page())
        upstreams = {
            **{
                f"everything-{kind}": stack.enter_context(everything(folder, kind)) for kind in ("stdio", "sse", "http")
            },
            "filesystem": filesystem(folder),
            "memory": memory(folder),
            "time": time(),
            "git": git(folder),
            "fetch": fetch(url),
        }
        yield Field(stack.enter_context(gateway(folder, document(folder, upstreams))), upstreams, fetched)


def document(folder: Path, upstreams: dict[str, Upstream]) -> Path:
    documents = folder / "documents"
    documents.mkdir()
    text = {
        "version": 1,
        "name": "registry",
        "routers": [{"prefix": f"/{name}", "server": name} for name in upstreams],
        "mcpServers": {name: upstream.entry for name, upstream in upstreams.items()},
    }
    (documents / "registry.json").write_text(json.dumps(text))
    return documents


def npm(name: str, *arguments: str, **more: Any) -> dict[str, Any]:
    script = MODULES / "@modelcontextprotocol" / name / "dist" / "index.js"
    return {"command": str(NODE), "args": [str(script), *arguments], **more}


def pypi(name: str, *arguments: str) -> dict[str, Any]:
    return {"command": str(Path(sys.executable).with_name(name)), "args": list(arguments)}


@contextmanager
def everything(folder: Path, kind: str) -> Iterator[Upstream]:
    calls = [("get-structured-content", {"location": "Chicago"}), ("get-annotated-message", {"messageType": "error"})]
    if kind == "stdio":
        yield Upstream(npm("server-everything"), calls)
        return
    port = free_port()
    started = npm("server-everything", "sse" if kind == "sse" else "streamableHttp")
    with (folder / f"everything-{kind}.txt").open("wb") as said:
        process = subprocess.Popen(
            [started["command"], *started["args"]],
            env={**os.environ, "PORT": str(port)},
            stdout=said,
            stderr=subprocess.STDOUT,
        )
    try:
        wait_until_open(port, process)
        path = "sse" if kind == "sse" else "mcp"
        yield Upstream({"type": kind, "url": f"http://127.0.0.1:{port}/{path}"}, calls)
    finally:
        stop(process)


def filesystem(folder: Path) -> Upstream:
    files = folder / "files"
    files.mkdir()
    (files / "greeting.txt").write_text("Grüße, 世界\n")
    return Upstream(
        npm("server-filesystem", str(files)),
        [
            ("read_text_file", {"path": str(files / "greeting.txt")}),
            ("read_text_file", {"path": str(folder / "outside.txt")}),
        ],
    )


def memory(folder: Path) -> Upstream:
    kept = folder / "memory.jsonl"
    entity = {"type": "entity", "name": "Portico", "entityType": "gateway", "observations": ["It relays."]}
    kept.write_text(json.dumps(entity) + "\n")
    return Upstream(npm("server-memory", env={"MEMORY_FILE_PATH": str(kept)}), [("read_graph", {})])


def time() -> Upstream:
    given = {"source_timezone": "UTC", "time": "16:30", "target_timezone": "Asia/Tokyo"}
    return Upstream(pypi("mcp-server-time", "--local-timezone", "UTC"), [("convert_time", given)])


def git(folder: Path) -> Upstream:
    repository = folder / "repository"
    person = ["-c", "user.name=A", "-c", "user.email=a@example.com", "-c", "commit.gpgsign=false"]
    for command in (["init", "--quiet"], [*person, "commit", "--quiet", "--allow-empty", "-m", "The first."]):
        repository.mkdir(exist_ok=True)
        subprocess.run(["git", *command], cwd=repository, check=True, timeout=30)
    return Upstream(
        pypi("mcp-server-git", "--repository", str(repository)), [("git_log", {"repo_path": str(repository)})]
    )


def fetch(url: str) -> Upstream:
    calls = [("fetch", {"url": f"{url}/open"}), ("fetch", {"url": f"{url}/closed"})]
    return Upstream(pypi("mcp-server-fetch", "--allow-private-ips"), calls)


@contextmanager
def page() -> Iterator[tuple[str, list[str]]]:
    """A small site on the loopback, and the paths that were asked of it."""
    asked: list[str] = []

    class Site(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            kind, text = PAGES.get(self.path, ("text/plain", ""))
            self.send_response(200 if self.path in PAGES else 404)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, format: str, *args: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Site) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}", asked
        finally:
            server.shutdown()
            thread.join(10)


@pytest.mark.parametrize("name", NAMES)
async def test_a_call_through_the_gateway_is_the_same_call_made_directly(everywhere: Field, name: str) -> None:
    upstream = everywhere.upstreams[name]
    direct = [seen(answer) for answer in await directly(upstream)]
    assert all(answer["content"] for answer in direct[1:])
    operations = [{"op": "listTools"}, *({"op": "callTool", "name": t, "arguments": a} for t, a in upstream.calls)]
    for kind, mode, transport in CLIENTS:
        url = f"{everywhere.running.url}/{name}/{'sse' if transport == 'sse' else 'mcp'}"
        answers = run_driver(kind, url, operations, mode=mode, transport=transport)
        assert [seen(answer["result"]) for answer in answers] == direct, kind


async def directly(upstream: Upstream) -> list[dict[str, Any]]:
    entry = upstream.entry
    if "command" in entry:
        server: Any = stdio_client(StdioServerParameters(**entry))
    else:
        server = sse_client(entry["url"]) if entry["type"] == "sse" else entry["url"]
    async with Client(server, mode="legacy", read_timeout_seconds=30) as client:
        found = [await client.list_tools(), *[await client.call_tool(*call) for call in upstream.calls]]
    return [result.model_dump(mode="json", by_alias=True, exclude_none=True) for result in found]


def seen(result: dict[str, Any]) -> dict[str, Any]:
    """What was said, without what tells the eras apart, what means its absence, and the day. Modern clients know no
    `execution` of a tool, and some drop it."""
    kept = ("tools", "content", "structuredContent")
    shown = {key: result[key] for key in kept if key in result}
    if "tools" in shown:
        shown["tools"] = [{key: tool[key] for key in tool if key != "execution"} for tool in shown["tools"]]
    text = re.sub(r"\d{4}-\d\d-\d\dT", "(day)T", json.dumps({**shown, "isError": result.get("isError", False)}))
    return json.loads(text)


async def test_a_page_that_robots_may_not_read_is_refused_through_the_gateway(everywhere: Field) -> None:
    everywhere.fetched.clear()
    *_, refused = run_driver(
        "python",
        f"{everywhere.running.url}/fetch/mcp",
        [{"op": "callTool", "name": name, "arguments": given} for name, given in everywhere.upstreams["fetch"].calls],
    )
    assert refused["result"]["isError"]
    assert "robots.txt" in refused["result"]["content"][0]["text"]
    assert "/open" in everywhere.fetched
    assert "/closed" not in everywhere.fetched
