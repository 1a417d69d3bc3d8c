"""A gateway with five MCP servers as people install them, and REST tools, as one endpoint."""

import json
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from tests.clients.driver import run_driver
from tests.e2e.combined_calls import Operation, Servers
from tests.e2e.processes import WAIT, Demo, Gateway, demo, gateway
from tests.e2e.test_registry_upstreams import npm, pypi

NAMES = ("everything", "filesystem", "memory", "time", "git")
OWN = {
    "get_user": {"email": "ada@example.com"},
    "list_users": {"limit": 1},
    "set_theme": {"email": "grace@example.com", "theme": "dark"},
}
"""The REST tools of the document, with what each is called with."""


@dataclass(frozen=True)
class Combined:
    """While the file `gone` is there, the memory server cannot be started."""

    running: Gateway
    service: Demo
    servers: Servers
    gone: Path

    @property
    def url(self) -> str:
        return f"{self.running.url}/all/mcp"

    def operations(self, run: str) -> list[tuple[str, Operation]]:
        """Everything that is done at each server, as the server itself knows it."""
        return [(name, operation) for name in NAMES for operation in self.servers.operations(name, run)]

    def drive(self, kind: str, mode: str, transport: str, operations: list[Operation]) -> list[dict[str, Any]]:
        """From state as it is at first."""
        self.servers.begin()
        url = self.url if transport == "http" else f"{self.running.url}/all/sse"
        # The Inspector starts anew for each operation.
        return run_driver(kind, url, operations, mode=mode, transport=transport, timeout=240)

    def asked_directly(self) -> list[Any]:
        """What the service answers to the requests of OWN, in their order."""
        users = f"{self.service.url}/users"
        with httpx.Client(timeout=WAIT, trust_env=False) as service:
            answers = (
                service.get(f"{users}/email/ada@example.com"),
                service.get(users, params={"limit": 1}),
                service.put(f"{users}/grace@example.com/preferences", json={"theme": "dark"}),
            )
        return [answer.raise_for_status().json() for answer in answers]


@contextmanager
def combine(folder: Path, *settings: str, names: Sequence[str] = NAMES) -> Iterator[Combined]:
    servers, gone = Servers(folder), folder / "gone"
    servers.begin()
    with ExitStack() as stack:
        service = stack.enter_context(demo(folder))
        documents = folder / "documents"
        documents.mkdir()
        (documents / "combined.json").write_text(json.dumps(document(folder, service.url, gone, names)))
        yield Combined(stack.enter_context(gateway(folder, documents, *settings)), service, servers, gone)


def document(folder: Path, service: str, gone: Path, names: Sequence[str]) -> dict[str, Any]:
    mcp_servers = entries(folder)
    memory = mcp_servers["memory"]
    started = f'test ! -e "{gone}" && exec "$@"'
    memory["args"] = ["-c", started, "sh", memory["command"], *memory["args"]]
    memory["command"] = "sh"
    return {
        "version": 1,
        "name": "combined",
        "routers": [{"prefix": "/all", "server": "all"}],
        "servers": [{"name": "all", "include": [{"mcpServer": name, "prefix": f"{name}-"} for name in names]}],
        "tools": own_tools(f"{service}/users"),
        "mcpServers": mcp_servers,
    }


def own_tools(users: str) -> list[dict[str, Any]]:
    email = {"name": "email", "in": "path", "type": "string", "required": True}
    limit = {"name": "limit", "in": "query", "type": "integer"}
    theme = {"name": "theme", "type": "string", "required": True}
    return [
        {"name": "get_user", "args": [email], "request": {"url": users + "/email/{{ args.email }}"}},
        {"name": "list_users", "args": [limit], "request": {"url": users}},
        {
            "name": "set_theme",
            "args": [email, theme],
            "request": {
                "method": "PUT",
                "url": users + "/{{ args.email }}/preferences",
                "body": {"theme": "{{ args.theme }}"},
            },
        },
    ]


def entries(folder: Path) -> dict[str, dict[str, Any]]:
    return {
        "everything": npm("server-everything"),
        "filesystem": npm("server-filesystem", str(folder / "files")),
        "memory": npm("server-memory", env={"MEMORY_FILE_PATH": str(folder / "memory.jsonl")}),
        "time": pypi("mcp-server-time", "--local-timezone", "UTC"),
        "git": pypi("mcp-server-git", "--repository", str(folder / "repository")),
    }
