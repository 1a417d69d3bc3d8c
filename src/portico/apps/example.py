"""`portico example`: the gateway, the demo service and the documents that join them, for a first look."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

EXAMPLES = Path("examples")
DEMO_PORT = 5236


def run(port: int, demo_port: int, admin: str, workers: int) -> int:
    """Start both processes, say how to use them, and end both together. Needs the repository's examples/."""
    if not EXAMPLES.is_dir():
        print("portico: examples/ is not here; run this in the repository.", file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory(prefix="portico-example-") as folder:
        documents = EXAMPLES if demo_port == DEMO_PORT else _copies(Path(folder), demo_port)
        portico = [sys.executable, "-m", "portico.cli"]
        gateway = ["gateway", "--store", f"files:{documents}", "--port", str(port), "--admin", admin]
        processes = [
            subprocess.Popen([*portico, "demo", "--port", str(demo_port)]),
            subprocess.Popen([*portico, *gateway, "--workers", str(workers), "--secrets", str(EXAMPLES / "secrets")]),
        ]
        print(_greeting(port, demo_port, documents), flush=True)
        return _wait(processes)


def _copies(folder: Path, demo_port: int) -> Path:
    """The documents with the address of a demo service that is not where they expect it."""
    for document in EXAMPLES.glob("*.yaml"):
        text = document.read_text().replace(f"127.0.0.1:{DEMO_PORT}", f"127.0.0.1:{demo_port}")
        (folder / document.name).write_text(text)
    return folder


def _wait(processes: list[subprocess.Popen[bytes]]) -> int:
    """Until somebody wants an end or a process has come to one; then end all."""
    stopped = False

    def stop(*_: object) -> None:
        nonlocal stopped
        stopped = True

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    while not stopped and all(process.poll() is None for process in processes):
        time.sleep(0.1)
    return _end(processes, stopped)


def _end(processes: list[subprocess.Popen[bytes]], asked: bool) -> int:
    for process in processes:
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
    codes = [process.wait(timeout=60) for process in processes]
    return 0 if asked else max(abs(code) for code in codes) or 1


def _greeting(port: int, demo_port: int, documents: Path) -> str:
    url = f"http://127.0.0.1:{port}/users"
    return f"""
Portico serves the demo's users API (http://127.0.0.1:{demo_port}/openapi.json) as an MCP endpoint:

  Streamable HTTP   {url}/mcp
  SSE               {url}/sse

Add it to a client:

  claude mcp add --transport http users {url}/mcp

or, for clients with a file of servers:

  {{"mcpServers": {{"users": {{"type": "http", "url": "{url}/mcp"}}}}}}

Try a call (the stateless revision needs no handshake):

  curl -s {url}/mcp -H 'Content-Type: application/json' -H 'Accept: application/json, text/event-stream' \\
    -H 'MCP-Protocol-Version: 2026-07-28' -H 'Mcp-Method: tools/call' -H 'Mcp-Name: get_user_by_email' \\
    -d '{{"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {{"name": "get_user_by_email",
         "arguments": {{"email": "ada@example.com"}}, "_meta": {{
         "io.modelcontextprotocol/protocolVersion": "2026-07-28",
         "io.modelcontextprotocol/clientCapabilities": {{}}}}}}}}'

The documents are in {documents}/: change one and it is served within two seconds. Ctrl-C ends both.
"""
