"""A real MariaDB of Debian's packages on a free port of this machine, ended by its own id when the block ends.

It refuses to run as root, so root starts it as Debian's user `mysql`, in a directory of that user's.
"""

import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.fakes.ports import free_port

WAIT = 60.0
PASSWORD = "a-password-of-mariadb"
DATABASES = ("portico", *(f"portico{number}" for number in range(2, 6)))


class Server:
    """One MariaDB, which a test may stop and start again at the same port."""

    def __init__(self, directory: Path) -> None:
        self.port = free_port()
        self._directory = directory
        self._process: subprocess.Popen[bytes] | None = None
        self.url = self.database("portico")

    def database(self, name: str) -> str:
        return f"mysql://portico:{PASSWORD}@127.0.0.1:{self.port}/{name}"

    def make(self) -> None:
        start = self._directory / "start.sql"
        made = [f"CREATE DATABASE IF NOT EXISTS {name};" for name in DATABASES]
        login = f"'portico'@'127.0.0.1' IDENTIFIED BY '{PASSWORD}'"
        rights = [f"CREATE USER IF NOT EXISTS {login};", "GRANT ALL ON *.* TO 'portico'@'127.0.0.1';"]
        start.write_text("\n".join([*made, *rights]) + "\n")
        if os.geteuid() == 0:
            for path in (self._directory, start):
                shutil.chown(path, "mysql", "mysql")
        install = [_program("mariadb-install-db"), "--no-defaults", f"--datadir={self._data}", "--skip-test-db"]
        subprocess.run([*install, *_as_mysql()], check=True, capture_output=True)

    def start(self) -> None:
        options = [f"--datadir={self._data}", f"--port={self.port}", "--bind-address=127.0.0.1"]
        options += [f"--socket={self._directory}/socket", f"--init-file={self._directory}/start.sql"]
        options += ["--skip-name-resolve", "--innodb-flush-log-at-trx-commit=2", "--innodb-buffer-pool-size=32M"]
        with (self._directory / "log").open("ab") as log:
            command = [_program("mariadbd"), "--no-defaults", *options, *_as_mysql()]
            self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        self._answers()

    def stop(self) -> None:
        """At once, as a machine that fails: connections break."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(WAIT)
            self._process = None

    @property
    def _data(self) -> Path:
        return self._directory / "data"

    def _answers(self) -> None:
        deadline = time.monotonic() + WAIT
        while True:
            try:
                # The greeting comes when it takes logins, which is after the file of its first statements.
                with socket.create_connection(("127.0.0.1", self.port), 1) as connection:
                    if connection.recv(1):
                        return
            except OSError:
                assert time.monotonic() < deadline, (self._directory / "log").read_text()
            time.sleep(0.05)


@contextmanager
def mariadb() -> Iterator[Server]:
    with tempfile.TemporaryDirectory(prefix="portico-mariadb-") as directory:
        server = Server(Path(directory))
        server.make()
        try:
            server.start()
            yield server
        finally:
            server.stop()


def _as_mysql() -> list[str]:
    return [] if os.geteuid() else ["--user=mysql"]


def _program(name: str) -> str:
    found = shutil.which(name) or shutil.which(name, path="/usr/sbin")
    assert found is not None, f"{name} is missing: apt-get install mariadb-server"
    return found
