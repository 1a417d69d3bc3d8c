"""Real Redis servers of Debian's packages on free ports of this machine: one, one behind a sentinel, and a cluster.

Each process is ended by its own id when the block ends. `redis-sentinel` is the same program, told so by a flag.
"""

import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

import redis

WAIT = 20.0
PASSWORD = "a-password-of-redis"


def free_port() -> int:
    """A port that was free a moment ago, with one that is 10,000 higher for the bus of a cluster."""
    while True:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        if port < 55_000:
            return port


class Server:
    """One Redis, which a test may stop and start again at the same port."""

    def __init__(self, directory: Path, *options: str, password: str = "") -> None:
        self.port = free_port()
        self._directory = directory / f"redis-{self.port}"
        self._directory.mkdir()
        self._password = password
        self._options = [*options, *(["--requirepass", password] if password else [])]
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, config: str = "") -> None:
        place = ["--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(self._directory)]
        given = [config] if config else []
        command = ["redis-server", *given, *place, "--save", "", "--appendonly", "no", *self._options]
        with (self._directory / "log").open("ab") as log:
            self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        self._answers()

    def stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait(WAIT)
            self._process = None

    def client(self) -> redis.Redis:
        return redis.Redis(port=self.port, password=self._password or None, socket_timeout=WAIT)

    def write(self, name: str, text: str) -> str:
        path = self._directory / name
        path.write_text(text)
        return str(path)

    def _answers(self) -> None:
        deadline = time.monotonic() + WAIT
        while True:
            try:
                with closing(self.client()) as client:
                    client.ping()
                return
            except redis.ConnectionError:
                assert time.monotonic() < deadline, (self._directory / "log").read_text()
                time.sleep(0.02)


@contextmanager
def single(directory: Path) -> Iterator[tuple[Server, str]]:
    """A Redis with a password, and its URL."""
    server = Server(directory, password=PASSWORD)
    try:
        server.start()
        yield server, f"redis://:{PASSWORD}@127.0.0.1:{server.port}"
    finally:
        server.stop()


@contextmanager
def behind_sentinel(directory: Path) -> Iterator[tuple[Server, str]]:
    """A Redis that is known to a sentinel as `tools`."""
    with ExitStack() as stack:
        server = Server(directory)
        stack.callback(server.stop)
        server.start()
        sentinel = Server(directory, "--sentinel")
        stack.callback(sentinel.stop)
        sentinel.start(sentinel.write("sentinel.conf", f"sentinel monitor tools 127.0.0.1 {server.port} 1\n"))
        # The first place is nobody's: the sentinels are asked in turn.
        yield server, f"redis+sentinel://127.0.0.1:{free_port()},127.0.0.1:{sentinel.port}/tools"


@contextmanager
def cluster(directory: Path) -> Iterator[tuple[list[Server], str]]:
    """Three masters that have met and own all slots; the URL names two of them."""
    with ExitStack() as stack:
        servers = [Server(directory, "--cluster-enabled", "yes") for _ in range(3)]
        for server in servers:
            stack.callback(server.stop)
            server.start()
        clients = [stack.enter_context(closing(server.client())) for server in servers]
        share = 16384 // 3 + 1
        for number, client in enumerate(clients):
            first, last = number * share, min((number + 1) * share, 16384) - 1
            client.execute_command("CLUSTER", "ADDSLOTSRANGE", first, last)
            client.execute_command("CLUSTER", "MEET", "127.0.0.1", servers[0].port)
        deadline = time.monotonic() + WAIT
        while not all(_is_whole(client) for client in clients):
            assert time.monotonic() < deadline, "the cluster has not formed"
            time.sleep(0.05)
        yield servers, f"redis+cluster://127.0.0.1:{servers[0].port},127.0.0.1:{servers[1].port}"


def _is_whole(client: redis.Redis) -> bool:
    info = client.execute_command("CLUSTER INFO")
    return info["cluster_state"] == "ok" and info["cluster_known_nodes"] == "3"
