"""What is measured and what it calls: nginx as the upstream service and as a proxy, the gateway, FastMCP."""

from __future__ import annotations

import json
import os
import shutil
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench.client import Client
from bench.machine import ROOT
from bench.messages import http, initialize
from bench.processes import PATIENCE, Process, free_port

PORTICO = str(Path(sys.executable).with_name("portico"))
DOCUMENT = ROOT / "bench/documents/items.yaml"
EXAMPLES = ROOT / "examples"
WRITTEN_BASE = "http://127.0.0.1:5240"
MCP_SERVER = "bench.mcp_server"
COMBINED = 5

# nginx at its best: no access log, connections that never end, one process for one core.
NGINX = """
worker_processes 1;
daemon off;
pid {directory}/pid;
error_log stderr warn;
events {{ worker_connections 8192; }}
http {{
  access_log off;
  client_body_temp_path {directory}/t1; proxy_temp_path {directory}/t2; fastcgi_temp_path {directory}/t3;
  uwsgi_temp_path {directory}/t4; scgi_temp_path {directory}/t5;
  keepalive_timeout 600s;
  keepalive_requests 1000000000;
  {http}
}}
"""
UPSTREAM = """
  server {{
    listen 127.0.0.1:{port} backlog=4096;
    default_type application/json;
    location / {{ return 200 '{answer}'; }}
  }}
"""
PROXY = """
  upstream service {{ server 127.0.0.1:{upstream}; keepalive 256; keepalive_requests 1000000000; }}
  server {{
    listen 127.0.0.1:{port} backlog=4096;
    open_file_cache max=10;
    sendfile on;
    tcp_nopush on;
    location /kept/ {{ root {directory}; default_type application/json; }}
    location / {{ proxy_pass http://service; proxy_http_version 1.1; proxy_set_header Connection ""; }}
  }}
"""
# With an identifier of 13 characters this is 400 bytes long.
ANSWER = (
    '{"id":"$arg_id","title":"Thing of many parts","state":"active","price":1999,"rating":4.75,"stock":true,'
    '"owner":{"name":"Ada Lovelace","email":"ada@example.com","since":"2024-03-01T12:00:00Z"},'
    '"tags":["new","blue","heavy"],"note":"'
)
ANSWER += "x" * (400 - 2 - len(ANSWER.replace("$arg_id", "item-00000000"))) + '"}'


class Server:
    """A started server and its port."""

    def __init__(self, name: str, command: list[str], port: int, cores: str, directory: Path, apart: str = "") -> None:
        self.name = name
        self.port = port
        self.process = Process(command, cores, directory / f"{name}.out", apart)

    def wait(self, probe: bytes) -> float:
        """Wait for the first good answer; how many seconds it took. RuntimeError when none comes in time."""
        began = time.monotonic()
        while time.monotonic() < began + PATIENCE:
            self.process.check()
            if self._answers(probe):
                return time.monotonic() - began
            time.sleep(0.005)
        raise RuntimeError(f"{self.name} does not answer")

    def _answers(self, probe: bytes) -> bool:
        try:
            client = Client(self.port, timeout=5)
            try:
                return client.ask(probe).status < 500
            finally:
                client.close()
        except (OSError, ValueError):
            return False


class Servers:
    """Starts servers below one directory and ends all of them."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._started: list[Server] = []

    def __enter__(self) -> Servers:
        return self

    def __exit__(self, *_: object) -> None:
        for server in reversed(self._started):
            server.process.end()

    def upstream(self, cores: str) -> Server:
        return self._nginx("upstream", cores, lambda port: UPSTREAM.format(port=port, answer=ANSWER))

    def proxy(self, cores: str, upstream: Server) -> Server:
        """It serves what `keep` gives it, too."""

        def write(port: int) -> str:
            return PROXY.format(port=port, upstream=upstream.port, directory=self._directory)

        return self._nginx("nginx", cores, write)

    def keep(self, name: str, content: bytes) -> None:
        """Have the proxy serve these bytes as /kept/NAME."""
        kept = self._directory / "kept"
        kept.mkdir(exist_ok=True)
        (kept / name).write_bytes(content)

    def gateway(self, cores: str, upstream: Server, workers: int = 1, name: str = "gateway") -> Server:
        """As a user starts it: default limits, access log and metrics on."""
        store = f"files:{self.documents(name, upstream)}"
        return self._gateway(name, store, cores, ["--admin", "off", "--workers", str(workers)])

    def on_store(self, name: str, store: str, cores: str, admin: int, *settings: str) -> Server:
        """A gateway on any store, with an admin listener."""
        return self._gateway(name, store, cores, ["--admin", f"127.0.0.1:{admin}", *settings])

    def relay(self, cores: str, upstream_cores: str) -> Server:
        """A gateway before MCP servers that run on other cores and cost it nothing that counts."""
        store = f"files:{self.relay_documents(upstream_cores)}"
        return self._gateway("relay", store, cores, ["--admin", "off"], apart=MCP_SERVER)

    def relay_documents(self, cores: str) -> Path:
        """What is served where MCP servers are relayed; they run already, or are to be started on these cores."""
        port = free_port()
        server = self._start("mcp-server", [sys.executable, "-m", MCP_SERVER, "http", str(port)], port, cores)
        server.wait(initialize("/mcp"))
        documents = self._directory / "relay-documents"
        documents.mkdir()
        (documents / "relays.json").write_text(json.dumps(relays(port, cores)))
        return documents

    def _gateway(self, name: str, store: str, cores: str, settings: list[str], apart: str = "") -> Server:
        port = free_port()
        command = [PORTICO, "gateway", "--store", store, "--port", str(port), *settings]
        command += ["--secrets", str(EXAMPLES / "secrets"), "--log", "json"]
        return self._start(name, command, port, cores, apart)

    def fastmcp(self, cores: str, upstream: Server) -> Server:
        port = free_port()
        command = [sys.executable, "-m", "bench.comparison", str(port), str(upstream.port)]
        return self._start("fastmcp", command, port, cores)

    def end(self, server: Server) -> None:
        self._started.remove(server)
        server.process.end()

    def log(self, server: Server) -> Path:
        return self._directory / f"{server.name}.out"

    def documents(self, name: str, upstream: Server) -> Path:
        """What is served where REST APIs are called."""
        documents = self._directory / f"{name}-documents"
        documents.mkdir(exist_ok=True)
        text = DOCUMENT.read_text().replace(WRITTEN_BASE, f"http://127.0.0.1:{upstream.port}")
        (documents / DOCUMENT.name).write_text(text)
        for example in EXAMPLES.glob("*.yaml"):
            shutil.copy(example, documents)
        return documents

    def _nginx(self, name: str, cores: str, write: Callable[[int], str]) -> Server:
        port = free_port()
        directory = self._directory / f"{name}-files"
        directory.mkdir()
        if os.getuid() == 0:
            shutil.chown(directory, "nobody")
        configuration = directory / "nginx.conf"
        configuration.write_text(NGINX.format(directory=directory, http=write(port)))
        server = self._start(name, ["nginx", "-p", str(directory), "-c", str(configuration)], port, cores)
        server.wait(http("GET", "/item?id=item-1", {}))
        return server

    def _start(self, name: str, command: list[str], port: int, cores: str, apart: str = "") -> Server:
        server = Server(name, command, port, cores, self._directory, apart)
        self._started.append(server)
        return server


def relays(port: int, cores: str) -> dict[str, Any]:
    """A document with MCP servers: over streamable HTTP, over stdio, pinned to other cores than its gateway, one of
    each era over streamable HTTP that speaks no other, and several of them combined."""
    arguments = ["-c", cores, sys.executable, "-m", MCP_SERVER, "stdio"]
    servers = {
        "relay-http": {"url": f"http://127.0.0.1:{port}/mcp"},
        "bridge-legacy": {"url": f"http://127.0.0.1:{port}/mcp?legacy", "protocol": "legacy"},
        "bridge-modern": {"url": f"http://127.0.0.1:{port}/mcp?modern", "protocol": "modern"},
        "relay-stdio": {"command": "taskset", "args": arguments, "cwd": str(ROOT)},
    }
    parts = {f"part-{number}": {"url": f"http://127.0.0.1:{port}/mcp?{number}"} for number in range(COMBINED)}
    combined = {"name": "combined", "include": [{"mcpServer": name, "prefix": f"{name}_"} for name in parts]}
    return {
        "version": 1,
        "name": "relays",
        "routers": [{"prefix": f"/{name}", "server": name} for name in (*servers, "combined")],
        "servers": [combined],
        "mcpServers": servers | parts,
    }
