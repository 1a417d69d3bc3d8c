"""Listening sockets."""

from __future__ import annotations

import socket
from pathlib import Path

_FIRST_INHERITED = 3


def listen(host: str, port: int) -> socket.socket:
    """A listening TCP socket that several processes may share, or OSError that names the address."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host.strip("[]"), port))
    except OSError as error:
        listener.close()
        raise OSError(f"cannot listen on {host}:{port}: {error.strerror or error}") from None
    listener.listen(2048)
    listener.setblocking(False)
    return listener


def inherited(host: str, port: int, count: int) -> socket.socket:
    """The listening socket that systemd opened for this process (sd_listen_fds(3)), or OSError.

    It has to be at the configured address: whether that is on loopback decides what the gateway is careful about.
    """
    if count != 1:
        raise OSError(f"cannot listen on {count} sockets of systemd: the unit must have one ListenStream")
    listener = socket.socket(fileno=_FIRST_INHERITED)
    address = listener.getsockname()
    wanted = {found[4][:2] for found in socket.getaddrinfo(host.strip("[]"), port, type=socket.SOCK_STREAM)}
    if not isinstance(address, tuple) or address[:2] not in wanted:
        raise OSError(f"cannot listen on {host}:{port}: systemd's socket is at {address}; set both alike")
    listener.setblocking(False)
    return listener


def listen_unix(path: Path) -> socket.socket:
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    path.unlink(missing_ok=True)
    listener.bind(str(path))
    path.chmod(0o600)
    listener.listen(1024)
    listener.setblocking(False)
    return listener
