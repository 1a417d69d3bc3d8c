"""`portico gateway`: one worker in this process, or a supervisor of several that share the port."""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import uvloop

from portico.apps.pidfile import pidfile
from portico.apps.replica.replica import replica_name
from portico.apps.sockets import inherited, listen
from portico.apps.worker import Place, Worker, load_certificate
from portico.gateway.ingress.certificate import CertificateError
from portico.settings import Resolved, Settings, without_password
from portico.store.open import open_source

RESTART_PAUSE = 0.2
RESTART_MOST = 5.0


def run(resolved: Resolved) -> int:
    """Serve until told to stop; returns the exit code. StoreError, CertificateError or OSError when it cannot even
    begin."""
    settings = resolved.settings
    # Until a worker listens for it, a reload is not to end the process that is about to load everything anyway.
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    with pidfile(settings.pidfile):
        return _run(resolved)


def _run(resolved: Resolved) -> int:
    settings = resolved.settings
    # Opened for their judgement alone: what no worker could open should be said once, not by each of them for ever.
    open_source(settings.store)
    certificate = load_certificate(settings)
    if certificate is not None and certificate.expired:
        raise CertificateError(certificate.expired)
    where = settings.host, settings.port
    public = inherited(*where, resolved.sockets) if resolved.sockets else listen(*where)
    address = settings.admin_address
    admin = listen(*address) if address is not None else None
    _say(settings, public, admin)
    if settings.workers == 1:
        place = Place(public, admin, secrets.token_bytes(32), None, replica=replica_name())
        return _serve(settings, dict(resolved.secrets), place)
    return Supervisor(resolved, public, admin).run()


def _say(settings: Settings, public: socket.socket, admin: socket.socket | None) -> None:
    host, port = public.getsockname()[:2]
    shown = f"{'https' if settings.tls_cert else 'http'}://" + (f"[{host}]" if ":" in host else host)
    more = ""
    if admin is not None:
        admin_host, admin_port = admin.getsockname()[:2]
        more = f", admin on http://{admin_host}:{admin_port}"
    store = without_password(settings.store)
    print(f"portico gateway: {shown}:{port}{more}, documents from {store}", file=sys.stderr, flush=True)


def _serve(settings: Settings, environment_secrets: dict[str, str], place: Place) -> int:
    async def main() -> None:
        await Worker(settings, environment_secrets, place).run()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main())
    return 0


class Supervisor:
    """Starts workers, restarts one that died, passes signals on. It serves nothing itself."""

    def __init__(self, resolved: Resolved, public: socket.socket, admin: socket.socket | None) -> None:
        self._resolved = resolved
        self._listeners = [public] if admin is None else [public, admin]
        self._key = secrets.token_hex(32)
        self._replica = replica_name()
        self._workers: dict[int, subprocess.Popen[bytes]] = {}
        self._started: dict[int, float] = {}
        self._failures = 0
        self._restarts = 0
        self._stopping = threading.Event()

    def run(self) -> int:
        signal.signal(signal.SIGTERM, self._stop)
        signal.signal(signal.SIGINT, self._stop)
        signal.signal(signal.SIGHUP, lambda *_: self._signal(signal.SIGHUP))
        with tempfile.TemporaryDirectory(prefix="portico-") as directory:
            for number in range(self._resolved.settings.workers):
                self._start(number, Path(directory))
            while not self._stopping.is_set():
                self._watch(Path(directory))
            return self._end()

    def _start(self, number: int, directory: Path) -> None:
        descriptors = [listener.fileno() for listener in self._listeners]
        task = {
            "settings": asdict(self._resolved.settings),
            "secrets": dict(self._resolved.secrets),
            "key": self._key,
            "peers": str(directory),
            "descriptors": descriptors,
            "number": number,
            "restarts": self._restarts,
            "replica": self._replica,
        }
        worker = subprocess.Popen(
            [sys.executable, "-m", "portico.apps.gateway"], stdin=subprocess.PIPE, pass_fds=descriptors
        )
        assert worker.stdin is not None
        # The pipe stays open: its end tells an orphaned worker that the supervisor is gone.
        worker.stdin.write(json.dumps(task).encode() + b"\n")
        worker.stdin.flush()
        self._workers[number] = worker
        self._started[number] = time.monotonic()

    def _watch(self, directory: Path) -> None:
        for number, worker in list(self._workers.items()):
            if worker.poll() is None:
                continue
            for path in directory.glob("*.sock"):
                _remove_dead(path)
            lived = time.monotonic() - self._started[number]
            self._failures = 0 if lived > 10 else self._failures + 1
            print(f"portico: worker {worker.pid} ended with {worker.returncode}; starting another", file=sys.stderr)
            self._stopping.wait(min(RESTART_PAUSE * 2 ** max(0, self._failures - 1), RESTART_MOST))
            if not self._stopping.is_set():
                self._restarts += 1
                self._start(number, directory)
        self._stopping.wait(0.1)

    def _stop(self, *_: object) -> None:
        self._stopping.set()

    def _signal(self, number: int) -> None:
        for worker in self._workers.values():
            if worker.poll() is None:
                worker.send_signal(number)

    def _end(self) -> int:
        self._signal(signal.SIGTERM)
        # Open here, they would go on taking connections that no worker accepts any more.
        for listener in self._listeners:
            listener.close()
        until = time.monotonic() + self._resolved.settings.drain + 10
        for worker in self._workers.values():
            try:
                worker.wait(max(0.1, until - time.monotonic()))
            except subprocess.TimeoutExpired:
                worker.kill()
                worker.wait()
        return 0


def _remove_dead(path: Path) -> None:
    """A worker that was killed leaves its socket behind; nobody answers there."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:
            path.unlink(missing_ok=True)
        except OSError:
            return


def _worker_main() -> int:
    """A worker process: its task is the first line of standard input, whose end means that it is alone."""
    task = json.loads(sys.stdin.buffer.readline())
    sockets = [socket.socket(fileno=descriptor) for descriptor in task["descriptors"]]
    for listener in sockets:
        listener.setblocking(False)
    fields = task["settings"]
    given: dict[str, Any] = {key: tuple(value) if isinstance(value, list) else value for key, value in fields.items()}
    settings = Settings(**given)
    admin = sockets[1] if len(sockets) > 1 else None
    key, peers = bytes.fromhex(task["key"]), Path(task["peers"])
    orphaned = threading.Event()
    place = Place(sockets[0], admin, key, peers, task["number"], task["restarts"], task["replica"], orphaned.is_set)
    threading.Thread(target=_end_with_parent, args=(orphaned,), daemon=True).start()
    try:
        return _serve(settings, task["secrets"], place)
    except CertificateError as error:
        print(f"portico: {error}", file=sys.stderr)
        return 1


def _end_with_parent(orphaned: threading.Event) -> None:
    # Not through sys.stdin, whose lock this thread would still hold when the interpreter ends.
    while os.read(0, 4096):
        pass
    orphaned.set()
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    sys.exit(_worker_main())
