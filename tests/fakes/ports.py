"""Ports for programs that must be told one. Nobody else is given them in the time until the program listens: they lie
below the range from which the kernel takes ports for connections and for port 0, and tests that run beside each other
hardly choose the same of thousands."""

import random
import socket

FIRST, LAST = 20_000, 32_000


def free_port() -> int:
    return free_ports(1)[0]


def free_ports(count: int) -> list[int]:
    found = [port for port in random.sample(range(FIRST, LAST), count + 100) if _is_free(port)]
    assert len(found) >= count, f"No {count} ports of 127.0.0.1 between {FIRST} and {LAST} are free."
    return found[:count]


def _is_free(port: int) -> bool:
    try:
        socket.create_server(("127.0.0.1", port)).close()
    except OSError:
        return False
    return True
