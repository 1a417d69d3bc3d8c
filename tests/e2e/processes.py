"""Real processes for tests: gateways, demo services and commands, on free ports, with their logs kept in files.

Each leads a process group of its own, which is killed at the end whatever happened. The environment holds nothing of
Portico's but what a test gives.
"""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import httpx
from tests.e2e.commands import PORTICO, WAIT, environment

# What systemd does for a service that has a socket: it is descriptor 3, and the environment says for whom.
ACTIVATE = """
import os, sys
os.dup2(int(sys.argv[1]), 3)
os.environ.update(LISTEN_FDS="1", LISTEN_PID=str(os.getpid()))
os.execv(sys.argv[2], sys.argv[2:])
"""

T = TypeVar("T")


def until(look: Callable[[], T], what: str, within: float = WAIT) -> T:
    """The first true thing that `look` sees, looked for until a deadline."""
    deadline = time.monotonic() + within
    while not (found := look()):
        assert time.monotonic() < deadline, f"{what}: not seen within {within} s"
        time.sleep(0.01)
    return found


def get(url: str, **more: Any) -> httpx.Response:
    return httpx.get(url, timeout=WAIT, trust_env=False, verify=False, **more)


def post(url: str, **more: Any) -> httpx.Response:
    return httpx.post(url, timeout=WAIT, trust_env=False, **more)


@dataclass(frozen=True)
class Started:
    """A process that goes on. `out` and `err` are the files that it writes to."""

    process: subprocess.Popen[bytes]
    out: Path
    err: Path

    @property
    def log(self) -> str:
        return self.err.read_text()

    @property
    def lines(self) -> list[dict[str, Any]]:
        """The whole lines of JSON that it has written to standard output so far."""
        whole = self.out.read_text().rpartition("\n")[0]
        return [json.loads(line) for line in whole.splitlines()]

    def said(self, pattern: str) -> re.Match[str]:
        """The first match in what it wrote to standard error, waited for."""

        def look() -> re.Match[str] | None:
            match = re.search(pattern, self.log)
            assert match or self.process.poll() is None, f"ended with {self.process.returncode}: {self.log}"
            return match

        return until(look, f"{pattern!r} in {self.err.name}")

    def end(self, number: int = signal.SIGTERM, within: float = WAIT) -> int:
        """Send a signal to the process alone, and wait for its exit code."""
        self.process.send_signal(number)
        return self.process.wait(within)


@dataclass(frozen=True)
class Demo(Started):
    url: str

    def journal(self, look: Callable[[dict[str, Any]], bool] = lambda line: True) -> list[dict[str, Any]]:
        """The requests that reached the service and are like that; a line is there before its answer is."""
        return [line for line in self.lines if look(line)]


@dataclass(frozen=True)
class Gateway(Started):
    """`url` is of the public listener, `admin` of the other one, or empty when that is off."""

    url: str
    admin: str
    token: str = ""

    @property
    def address(self) -> str:
        """HOST:PORT of the public listener."""
        return self.url.partition("://")[2]

    @property
    def messages(self) -> list[str]:
        """What it has logged, as texts."""
        lines = [line for line in self.log.splitlines() if line.startswith("{")]
        return [json.loads(line)["message"] for line in lines]

    def status(self) -> list[dict[str, Any]]:
        """What each worker says of itself."""
        headers = {"authorization": f"Bearer {self.token}"} if self.token else {}
        return get(f"{self.admin}/status", headers=headers).json()

    def pids(self) -> dict[str, int]:
        return {worker["worker"]: worker["pid"] for worker in self.status()}

    def reload(self) -> dict[str, Any]:
        answer = post(f"{self.admin}/reload")
        assert answer.status_code == 200, answer.text
        return answer.json()

    def figure(self, name: str) -> float:
        """The sum of a metric over all of its labels."""
        found = re.findall(rf"^{name}(?:\{{.*\}})? (\S+)$", get(f"{self.admin}/metrics").text, re.MULTILINE)
        return sum(map(float, found))


@contextmanager
def started(
    directory: Path,
    name: str,
    arguments: Sequence[str],
    env: Mapping[str, str] | None,
    listener: socket.socket | None = None,
) -> Iterator[Started]:
    """Run a command of Portico until the block ends; a block that fails shows the end of its logs. A listener is given
    to it as systemd would."""
    given = [] if listener is None else [listener.fileno()]
    activated = [sys.executable, "-c", ACTIVATE, *map(str, given)] if given else []
    out, err = directory / f"{name}.out", directory / f"{name}.err"
    with out.open("wb") as stdout, err.open("wb") as stderr:
        process = subprocess.Popen(
            [*activated, *PORTICO, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            stderr=stderr,
            env=environment(env),
            start_new_session=True,
            pass_fds=given,
        )
    try:
        yield Started(process, out, err)
    except BaseException as error:
        error.add_note(f"--- {name} said:\n{err.read_text()[-4000:]}")
        raise
    finally:
        _end_group(process)


def _end_group(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(WAIT)
    # Whatever is left of the group, such as the workers of a supervisor that did not end.
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait(WAIT)


@contextmanager
def demo(directory: Path) -> Iterator[Demo]:
    """The demo service, with its journal on standard output."""
    with started(directory, "demo", ["demo", "--port", "0", "--log", "-"], None) as found:
        url = found.said(r"running on (http://\S+)")[1]
        yield Demo(found.process, found.out, found.err, url)


@contextmanager
def gateway(
    directory: Path,
    documents: Path | str,
    *settings: str,
    admin: str = "127.0.0.1:0",
    env: Mapping[str, str] | None = None,
    name: str = "gateway",
    ready: bool = True,
    listener: socket.socket | None = None,
) -> Iterator[Gateway]:
    """A gateway on a directory of documents, or on the URL of a store, ready to answer; with all of its workers where
    `ready` and the admin listener is open to the test. It listens on a free port, or on the socket it is given."""
    port = "0" if listener is None else str(listener.getsockname()[1])
    store = documents if isinstance(documents, str) else f"files:{documents}"
    command = ["gateway", "--store", store, "--port", port, "--admin", admin, "--log", "json", *settings]
    with started(directory, name, command, env, listener) as found:
        match = found.said(r"portico gateway: (https?://[^\s,]+)(?:, admin on (http://[^\s,]+))?")
        token = settings[settings.index("--admin-token") + 1] if "--admin-token" in settings else ""
        running = Gateway(found.process, found.out, found.err, match[1], match[2] or "", token)
        until(lambda: is_ready(running), "the gateway is ready")
        if ready and "--workers" in settings and running.admin:
            wanted = int(settings[settings.index("--workers") + 1])
            until(lambda: len(running.status()) == wanted, f"{wanted} workers")
        yield running


def is_ready(running: Gateway) -> bool:
    assert running.process.poll() is None, f"ended with {running.process.returncode}: {running.log}"
    try:
        return get(f"{running.url}/readyz").status_code == 200
    except httpx.TransportError:
        return False


def is_alive(pid: int) -> bool:
    """Whether a process is there and is not a zombie that waits to be noticed."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"


def descendants(pid: int) -> list[int]:
    found = []
    for file in Path(f"/proc/{pid}/task").glob("*/children"):
        with suppress(FileNotFoundError, ProcessLookupError):
            for child in map(int, file.read_text().split()):
                found += [child, *descendants(child)]
    return found


def write(path: Path, text: str | bytes) -> None:
    """Replace a document as an editor should: a reader sees the old text or the new one."""
    temporary = path.with_name(f".{path.name}.new")
    temporary.write_bytes(text.encode() if isinstance(text, str) else text)
    os.replace(temporary, path)
