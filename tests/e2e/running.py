"""The demo service and a gateway on the example documents, as real processes on free ports."""

import json
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples"
DEMO = "http://127.0.0.1:5236"
WAIT = 30


@dataclass(frozen=True)
class Running:
    """`gateway` and `demo` are base URLs; `log` is the demo's journal, one JSON line for each request."""

    gateway: str
    demo: str
    log: Path
    documents: Path
    process: subprocess.Popen[bytes]

    def lines(self, least: int = 0) -> list[dict[str, Any]]:
        """The journal, once it has `least` lines, or what there is when that takes too long."""
        deadline = time.monotonic() + WAIT
        while True:
            found = [json.loads(line) for line in self.log.read_text().splitlines()]
            if len(found) >= least or time.monotonic() > deadline:
                return found
            time.sleep(0.02)


@contextmanager
def running(directory: Path, *settings: str) -> Iterator[Running]:
    """Start both below `directory`, with these settings of the gateway, and end them in order."""
    log, said = directory / "journal.jsonl", directory / "demo.txt"
    demo = start(["demo", "--port", "0", "--log", str(log)], said)
    try:
        demo_url = said_url(said, r"running on (http://\S+)", demo)
        documents = copy_examples(directory, demo_url)
        with gateway(documents, directory / "gateway.txt", *settings) as (url, process):
            yield Running(url, demo_url, log, documents, process)
    finally:
        stop(demo)


@contextmanager
def gateway(documents: Path, said: Path, *settings: str) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """A gateway on a directory of documents, ready to answer."""
    secrets = str(documents / "secrets")
    command = ["gateway", "--store", f"files:{documents}", "--secrets", secrets, "--port", "0", "--admin", "off"]
    process = start([*command, *settings], said)
    try:
        url = said_url(said, r"portico gateway: (http://[^\s,]+)", process)
        wait_until_ready(url, process)
        yield url, process
    finally:
        stop(process)


def copy_examples(directory: Path, demo: str) -> Path:
    """The example documents for a demo service that listens at another address than theirs."""
    documents = directory / "examples"
    shutil.copytree(EXAMPLES, documents)
    for path in documents.glob("*.yaml"):
        path.write_text(path.read_text().replace(DEMO, demo))
    return documents


def start(arguments: list[str], said: Path) -> subprocess.Popen[bytes]:
    with said.open("wb") as output:
        command = [sys.executable, "-m", "portico.cli", *arguments]
        return subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT, cwd=said.parent)


def said_url(said: Path, pattern: str, process: subprocess.Popen[bytes]) -> str:
    """What a process printed about where it listens."""
    deadline = time.monotonic() + WAIT
    while (match := re.search(pattern, said.read_text())) is None:
        assert process.poll() is None, said.read_text()
        assert time.monotonic() < deadline, f"no address after {WAIT} s: {said.read_text()}"
        time.sleep(0.02)
    return match[1]


def wait_until_ready(url: str, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + WAIT
    while not ready(url):
        assert process.poll() is None, f"the gateway ended with {process.returncode}"
        assert time.monotonic() < deadline, f"the gateway is not ready after {WAIT} s"
        time.sleep(0.05)


def ready(url: str) -> bool:
    try:
        return httpx.get(f"{url}/readyz", timeout=5, trust_env=False).status_code == 200
    except httpx.TransportError:
        return False


def stop(process: subprocess.Popen[bytes]) -> int:
    """SIGTERM, and SIGKILL when that does not help within WAIT seconds; returns the exit code."""
    process.terminate()
    try:
        return process.wait(WAIT)
    except subprocess.TimeoutExpired:
        process.kill()
        return process.wait(WAIT)
