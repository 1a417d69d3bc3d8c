"""Our uvicorn: one of several in a process, started on given sockets and stopped by us rather than by signals."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import uvicorn

KEEP_ALIVE = 75


class Server(uvicorn.Server):
    """Serves one ASGI app on one listening socket."""

    def __init__(self, app: Any, listener: socket.socket) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                http="httptools",
                loop="none",
                lifespan="off",
                ws="none",
                access_log=False,
                log_config=None,
                proxy_headers=False,
                server_header=False,
                timeout_keep_alive=KEEP_ALIVE,
                backlog=2048,
            )
        )
        self._listener = listener
        self._task: asyncio.Task[None] | None = None

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    def begin(self) -> asyncio.Task[None]:
        self._task = asyncio.get_running_loop().create_task(self.serve(sockets=[self._listener]))
        return self._task

    async def end(self, patience: float) -> None:
        """Accept no more, let what is under way finish for `patience` seconds, then cut."""
        if self._task is None:
            return
        self.should_exit = True
        done, _ = await asyncio.wait([self._task], timeout=patience)
        if not done:
            self.force_exit = True
            for connection in list(self.server_state.connections):
                transport = getattr(connection, "transport", None)
                if transport is not None:
                    transport.abort()
            await asyncio.wait([self._task], timeout=2)


def listen(host: str, port: int) -> socket.socket:
    """A listening TCP socket that several processes may share, or OSError that names the address."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host.strip("[]"), port))
    except OSError as error:
        listener.close()
        raise OSError(error.errno, f"cannot listen on {host}:{port}: {error.strerror}") from None
    listener.listen(2048)
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
