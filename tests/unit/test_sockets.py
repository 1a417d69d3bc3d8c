"""Sockets that somebody else opened: taken only where they are what was configured."""

import os
import subprocess
import sys

import pytest

from portico.settings import resolve

TAKE = """
import os, socket, sys
from portico.apps.sockets import inherited
given = socket.create_server(("127.0.0.1", 0))
os.dup2(given.fileno(), 3)
port = given.getsockname()[1] + int(sys.argv[2])
print(inherited(sys.argv[1], port, int(sys.argv[3])).getsockname()[1] == port)
"""


def take(host: str, off: int = 0, count: int = 1) -> str:
    """What a process of its own, whose third descriptor is free, says of a socket at 127.0.0.1."""
    ended = subprocess.run(
        [sys.executable, "-c", TAKE, host, str(off), str(count)], capture_output=True, text=True, timeout=30
    )
    return ended.stdout.strip() or ended.stderr.splitlines()[-1]


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_a_socket_at_the_configured_address_is_taken(host: str) -> None:
    assert take(host) == "True"


def test_a_socket_at_another_address_is_refused() -> None:
    """Whether it is on loopback decides what the gateway is careful about, so it may not be mistaken."""
    assert "set both alike" in take("0.0.0.0")
    assert "set both alike" in take("127.0.0.1", off=1)


def test_one_socket_is_expected() -> None:
    assert "the unit must have one ListenStream" in take("127.0.0.1", count=2)


def test_sockets_are_for_the_process_that_the_environment_names() -> None:
    assert resolve({}, {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": "1"}).sockets == 1
    assert resolve({}, {"LISTEN_PID": "1", "LISTEN_FDS": "1"}).sockets == 0
    assert resolve({}, {}).sockets == 0
