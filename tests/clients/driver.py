"""Real MCP clients, each behind one call: `run_driver("typescript-v2", url, operations, mode="auto")`.

Every kind runs in a process of its own with an empty home folder, so that nothing is shared between runs.
"""

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.clients.programs import CLIENTS, MODULES, NODE

KINDS: dict[str, list[str]] = {
    "python": [sys.executable, "python_client.py"],
    "fastmcp": [sys.executable, "fastmcp_client.py"],
    "typescript-v1": [str(NODE), "sdk_v1.mjs"],
    "typescript-v2": [str(NODE), "sdk_v2.mjs"],
    "mcp-remote": [sys.executable, "remote.py"],
    "inspector": [sys.executable, "inspector.py"],
}

# What each client can be told about the era. The SSE transport has no modern era, so `modern` means HTTP only.
MODES: dict[str, tuple[str, ...]] = {
    "python": ("legacy", "auto", "modern"),
    "fastmcp": ("legacy", "auto", "modern"),
    "typescript-v1": ("legacy",),
    "typescript-v2": ("legacy", "auto", "modern"),
    "mcp-remote": ("legacy", "auto"),
    "inspector": ("legacy", "auto", "modern"),
}

# Every way in which a client can reach an endpoint, for tests that want them all.
WAYS: list[tuple[str, str, str]] = [
    (kind, mode, transport)
    for kind, modes in MODES.items()
    for transport in ("http", "sse")
    for mode in modes
    if (mode, transport) != ("modern", "sse")
]


class DriverFailed(Exception):
    """A client did not connect, did not finish in time, or printed no answers; says what it printed instead."""


def run_driver(
    kind: str,
    url: str,
    operations: Sequence[Mapping[str, Any]],
    *,
    mode: str = "legacy",
    transport: str = "http",
    headers: Mapping[str, str] | None = None,
    answers: Mapping[str, Any] | None = None,
    timeout: float = 45,
) -> list[dict[str, Any]]:
    """Perform `operations` in order with a client of this kind, and return one answer for each.

    An answer is `{"op", "result"}`, or `{"op", "error"}` where the server (or the client by itself) refused. With
    `answers` the client can be asked (see driving.py).
    """
    if not MODULES.is_dir():
        raise DriverFailed(f"{MODULES} is missing; make setup installs the clients")
    program, script = KINDS[kind]
    sent = [part for name, value in (headers or {}).items() for part in ("--header", f"{name}: {value}")]
    sent += ["--answers", json.dumps(answers)] if answers is not None else []
    command = [program, str(CLIENTS / script), url, "--mode", mode, "--transport", transport, *sent]
    with tempfile.TemporaryDirectory(prefix="portico-client-") as home:
        status, out, err = _run(command, json.dumps(list(operations)), home, timeout)
    said = f"{kind} ({mode}, {transport}) at {url}: status {status}\n{out}\n{err}"
    if status != 0:
        raise DriverFailed(said)
    try:
        return json.loads(out)
    except ValueError:
        raise DriverFailed(said) from None


def _run(command: list[str], text: str, home: str, timeout: float) -> tuple[int | None, str, str]:
    # No variable of the caller reaches the client: a proxy or a token in the environment would change what it does.
    environment = {"PATH": os.defpath, "HOME": home, "LANG": "C.UTF-8", "PYTHONDONTWRITEBYTECODE": "1"}
    pipe = subprocess.PIPE
    process = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True, cwd=home, env=environment)
    try:
        out, err = process.communicate(text, timeout)
    except subprocess.TimeoutExpired:
        # A child (mcp-remote is one) leads a session of its own, and would hold the pipes open for minutes.
        for pid in [*_descendants(process.pid), process.pid]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        out, err = process.communicate(timeout=timeout)
        return None, out, f"{err}\nno end after {timeout} s"
    return process.returncode, out, err


def _descendants(pid: int) -> list[int]:
    children = [
        int(child) for file in Path(f"/proc/{pid}/task").glob("*/children") for child in file.read_text().split()
    ]
    return [below for child in children for below in (*_descendants(child), child)]
