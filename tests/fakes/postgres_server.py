"""A real PostgreSQL of Debian's packages on a free port of this machine, ended by its own id when the block ends.

It refuses to run as root, so root starts it as Debian's user `postgres`, in a directory of that user's.
"""

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

WAIT = 30.0
PASSWORD = "a-password-of-postgres"


class Server:
    """One PostgreSQL, which a test may stop and start again at the same port."""

    def __init__(self, directory: Path) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port: int = probe.getsockname()[1]
        self._directory = directory
        self._process: subprocess.Popen[bytes] | None = None
        self.url = f"postgresql://portico:{PASSWORD}@127.0.0.1:{self.port}/postgres"

    def make(self) -> None:
        password = self._directory / "password"
        password.write_text(PASSWORD)
        data = ["--pgdata", str(self._directory / "data"), "--username", "portico", "--pwfile", str(password)]
        options = ["--auth", "scram-sha-256", "--no-sync", "--encoding", "UTF8", "--locale", "C.UTF-8"]
        if os.geteuid() == 0:
            for path in (self._directory, password):
                shutil.chown(path, "postgres", "postgres")
        subprocess.run([*_as_postgres(), _program("initdb"), *data, *options], check=True, capture_output=True)

    def start(self) -> None:
        options = ["-p", str(self.port), "-c", "listen_addresses=127.0.0.1", "-c", "fsync=off"]
        options += ["-c", f"unix_socket_directories={self._directory}"]
        command = [*_as_postgres(), _program("postgres"), "-D", str(self._directory / "data"), *options]
        with (self._directory / "log").open("ab") as log:
            self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        self._answers()

    def stop(self) -> None:
        """At once, as a machine that fails: connections break."""
        if self._process is not None:
            self._process.send_signal(signal.SIGQUIT)
            self._process.wait(WAIT)
            self._process = None

    def _answers(self) -> None:
        ready = [_program("pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(self.port)]
        deadline = time.monotonic() + WAIT
        while subprocess.run(ready).returncode:
            assert time.monotonic() < deadline, (self._directory / "log").read_text()
            time.sleep(0.05)


@contextmanager
def postgres() -> Iterator[Server]:
    with tempfile.TemporaryDirectory(prefix="portico-postgres-") as directory:
        server = Server(Path(directory))
        server.make()
        try:
            server.start()
            yield server
        finally:
            server.stop()


def _as_postgres() -> list[str]:
    """It replaces itself by the program, so that a signal to the one is a signal to the other."""
    if os.geteuid():
        return []
    return ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"]


def _program(name: str) -> str:
    """Debian keeps the server's programs out of PATH, one folder for each version."""
    found = shutil.which(name) or next(map(str, sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"))[-1:]), None)
    assert found is not None, f"{name} is missing: apt-get install postgresql"
    return found
