"""The everything server behind a gateway, reached in each way that there is: one endpoint that relays it unchanged."""

import json
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.e2e.running import gateway, stop
from tests.fakes.ports import free_port

FIXTURE = Path(__file__).parents[1] / "fakes" / "everything_fixture.py"
WAIT = 30
KINDS = ("http", "http-legacy", "http-modern", "sse", "stdio")


@contextmanager
def relayed(folder: Path, kind: str, workers: int = 1) -> Iterator[str]:
    """The URL of an endpoint that relays to the fixture, asked as `localhost` as the suite wants."""
    document = {"routers": [{"prefix": "/demo", "server": "everything"}]}
    with (
        upstream(folder, kind) as entry,
        serving(folder, {**document, "mcpServers": {"everything": entry}}, workers) as url,
    ):
        yield f"{url}/demo/mcp"


@contextmanager
def serving(folder: Path, document: dict[str, object], workers: int) -> Iterator[str]:
    """The base URL of a gateway on one document."""
    documents = folder / "documents"
    documents.mkdir()
    (documents / "matrix.json").write_text(json.dumps({"version": 1, "name": "matrix", **document}))
    with gateway(documents, folder / "gateway.txt", "--workers", str(workers)) as (url, _):
        yield url.replace("127.0.0.1", "localhost")


@contextmanager
def upstream(folder: Path, kind: str) -> Iterator[dict[str, object]]:
    """What the document says of the fixture, which runs meanwhile unless the gateway starts it. A kind may name the
    one era that it speaks, as in `stdio-legacy`."""
    transport, _, era = kind.partition("-")
    if transport == "stdio":
        yield {"command": sys.executable, "args": [str(FIXTURE), "stdio", *only(era)]}
        return
    with everything(folder, kind) as (url, _):
        yield {"type": transport, "url": url}


def only(era: str) -> list[str]:
    return [f"--{era}-only"] if era else []


@contextmanager
def everything(folder: Path, kind: str, port: int = 0) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """The fixture listening, with its URL; whose kinds are those that are no stdio."""
    transport, _, era = kind.partition("-")
    port = port or free_port()
    command = [sys.executable, str(FIXTURE), transport, str(port), *only(era)]
    with (folder / "upstream.txt").open("ab") as output:
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT)
    try:
        wait_until_open(port, process)
        yield f"http://localhost:{port}/{'sse' if transport == 'sse' else 'mcp'}", process
    finally:
        stop(process)


def wait_until_open(port: int, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + WAIT
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            assert process.poll() is None, f"the upstream ended with {process.returncode}"
            assert time.monotonic() < deadline, "the upstream never listened"
            time.sleep(0.05)
