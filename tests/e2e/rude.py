"""A gateway in front of rude servers, and calls to it by hand in either era."""

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

import httpx
from tests.e2e.conversation import Session, modern_request, shake_hands
from tests.e2e.processes import Gateway, write

SERVER = str(Path(__file__).parents[1] / "fakes" / "rude_server.py")
Era = Literal["legacy", "modern"]


def process(*traits: str, **more: Any) -> dict[str, Any]:
    """An entry of `mcpServers` that starts a rude server."""
    return {"command": sys.executable, "args": [SERVER, "stdio", *traits], **more}


def sse(url: str, **more: Any) -> dict[str, Any]:
    """An entry of `mcpServers` for the same rude server as is behind a URL of rude_http, over the older transport."""
    return {"type": "sse", "url": url.removesuffix("/mcp") + "/sse", **more}


@contextlib.contextmanager
def rude_http(folder: Path, port: int = 0) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """A rude server on a port of its own: its URL, and its process."""
    with (folder / "rude.err").open("ab") as errors:
        command = [sys.executable, SERVER, "http", str(port)]
        started = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=errors)
    try:
        assert started.stdout is not None
        yield f"http://127.0.0.1:{int(started.stdout.readline())}/mcp", started
    finally:
        started.kill()
        started.wait(10)


def documents(folder: Path, servers: Mapping[str, Mapping[str, Any]]) -> Path:
    """A directory with one document, which relays each server at the prefix of its name."""
    found = folder / "documents"
    found.mkdir(exist_ok=True)
    routers = [{"prefix": f"/{name}", "server": name} for name in servers]
    write(found / "rude.json", json.dumps({"version": 1, "name": "rude", "routers": routers, "mcpServers": servers}))
    return found


class Client:
    """Calls tools of one endpoint. In the legacy era it has a session."""

    def __init__(self, http: httpx.AsyncClient, url: str, session: Session | None) -> None:
        self.http = http
        self.url = url
        self.session = session

    async def messages(
        self, tool: str, arguments: Mapping[str, Any] | None = None, *, identifier: int = 1, token: Any = None
    ) -> list[dict[str, Any]]:
        """What comes back of a call, the answer last."""
        params: dict[str, Any] = {"name": tool, "arguments": dict(arguments or {})}
        meta = {} if token is None else {"progressToken": token}
        if self.session is None:
            request = modern_request("tools/call", params, identifier, meta)
            return messages_of(await self.http.post(self.url, **request))
        body = self.session.body("tools/call", {**params, "_meta": meta}, identifier)
        return messages_of(await self.session.post(self.http, body))

    async def call(self, tool: str, arguments: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """The answer: a result or an error."""
        return (await self.messages(tool, arguments))[-1]

    async def text(self, tool: str, arguments: Mapping[str, Any] | None = None) -> str:
        return text_of(await self.call(tool, arguments))

    async def error(self, tool: str, arguments: Mapping[str, Any] | None = None) -> str:
        answer = await self.call(tool, arguments)
        assert "error" in answer, answer
        return answer["error"]["message"]


async def client(http: httpx.AsyncClient, running: Gateway, name: str, era: Era) -> Client:
    url = f"{running.url}/{name}/mcp"
    return Client(http, url, await shake_hands(http, url) if era == "legacy" else None)


def messages_of(answer: httpx.Response) -> list[dict[str, Any]]:
    """Those of a stream, or the one of a JSON body."""
    if answer.headers.get("content-type") == "text/event-stream":
        data = [line.removeprefix("data:").strip() for line in answer.text.splitlines() if line.startswith("data:")]
        return [json.loads(one) for one in data if one]
    return [answer.json()]


def text_of(answer: Mapping[str, Any]) -> str:
    assert "result" in answer, answer
    return answer["result"]["content"][0]["text"]


def descriptors(pid: int) -> int:
    return len(os.listdir(f"/proc/{pid}/fd"))


def resident(pid: int) -> int:
    """Bytes of memory."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
