"""python -m bench.inside SCENARIO: what a call costs inside of the gateway, with the kernel taken away.

A whole worker runs in this process, but its connections have no sockets: requests and the answers of the service are
given to them by hand. It says nothing of the speed that users see, and repeats within one or two per cent, so that it
shows what a change of a tenth of a microsecond does; `py-spy record` sees nothing but our own code in it.
"""

from __future__ import annotations

import argparse
import asyncio
import secrets
import socket
import statistics
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import uvloop

from bench.client import Client
from bench.machine import share_out
from bench.mcp_server import answer
from bench.messages import MARK
from bench.scenarios import SCENARIOS, Scenario
from bench.servers import ANSWER, EXAMPLES, Servers
from portico.apps.worker import Place, Worker
from portico.gateway.ingress.http1 import Connection as Guest
from portico.net.connection import Connection as Line
from portico.net.pool import Pool
from portico.settings import Settings

CONNECTIONS = 64
ROUNDS = 7
NAMES = [
    scenario.name for scenario in SCENARIOS if scenario.server in ("gateway", "relay") and "stdio" not in scenario.name
]
_HEAD = b"HTTP/1.1 200 OK\r\nServer: bench\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"


class NoSocket:
    """A transport that keeps what is written to it."""

    def __init__(self) -> None:
        self.written: list[bytes] = []
        self._closing = False

    def write(self, data: bytes) -> None:
        self.written.append(data)

    def writelines(self, pieces: Any) -> None:
        self.written.append(b"".join(pieces))

    def take(self) -> bytes:
        found = b"".join(self.written)
        self.written.clear()
        return found

    def get_extra_info(self, name: str, default: object = None) -> object:
        return ("127.0.0.1", 1) if name == "peername" else default

    def get_write_buffer_size(self) -> int:
        return 0

    def is_closing(self) -> bool:
        return self._closing

    def abort(self) -> None:
        self._closing = True

    close = abort


@dataclass(frozen=True)
class Listening:
    port: int


@dataclass
class Ends:
    """Both sides of the gateway: clients, and connections to the service, if calls go there."""

    worker: Worker
    guests: list[tuple[Guest, NoSocket]] = field(default_factory=list)
    lines: list[tuple[Line, NoSocket]] = field(default_factory=list)

    def seconds(self, template: bytes, scenario: Scenario, first: int) -> float:
        """One call on each connection; the time that the gateway takes, and not that of the service."""
        before, *rest = template.split(MARK.encode())
        numbers = range(first, first + CONNECTIONS)
        requests = [b"%b%b" % (before, b"".join(b"%d%b" % (number, each) for each in rest)) for number in numbers]
        began = time.perf_counter()
        for (guest, _), request in zip(self.guests, requests, strict=True):
            guest.data_received(request)
        self._flush()
        asked = time.perf_counter()
        answers = [(line, _answered(said)) for line, transport in self.lines if (said := transport.take())]
        answering = time.perf_counter()
        for line, reply in answers:
            line.data_received(reply)
        self._flush()
        ended = time.perf_counter()
        for number, (_, transport) in zip(numbers, self.guests, strict=True):
            head, _, body = transport.take().partition(b"\r\n\r\n")
            if not head.startswith(b"HTTP/1.1 200 ") or not scenario.fits(number, body):
                raise RuntimeError(f"a wrong answer: {head!r} {body!r}")
        return asked - began + ended - answering

    def close(self) -> None:
        for guest, _ in self.guests:
            guest.connection_lost(None)
        for line, _ in self.lines:
            line.close()

    def _flush(self) -> None:
        self.worker.public.outbox.flush()
        for pool in _pools(self.worker):
            pool.outbox.flush()


def _pools(worker: Worker) -> list[Pool]:
    return list(worker.world.client._pools.values())


def _answered(said: bytes) -> bytes:
    """What the service of the bench says to a request."""
    head, _, body = said.partition(b"\r\n\r\n")
    if b"jsonrpc" in body:
        reply = answer(body) or b""
    else:
        number = head.partition(b"id=")[2][:13]
        reply = ANSWER.encode().replace(b"$arg_id", number)
    return _HEAD % len(reply) + reply


async def measure(scenario: Scenario, directory: Path, turns: int) -> list[float]:
    """Microseconds of a call, by round."""
    with Servers(directory) as servers, (directory / "access.log").open("wb") as sink:
        place = socket.create_server(("127.0.0.1", 0))
        settings = Settings(
            store=f"files:{_store(scenario, servers)}",
            log="json",
            log_level="warning",
            egress="any",
            secrets=str(EXAMPLES / "secrets"),
        )
        worker = Worker(settings, {}, Place(place, None, secrets.token_bytes(32), None))
        worker.world.access_log._sink = sink
        started, stop = asyncio.Event(), asyncio.Event()
        serving = asyncio.create_task(worker.serve(stop, started.set))
        await started.wait()
        template = await asyncio.to_thread(_warm, scenario, place.getsockname()[1])
        ends = _ends(worker)
        numbers = iter(range(10_000_000, 90_000_000, CONNECTIONS))
        found: list[float] = []
        for _ in range(ROUNDS):
            seconds = 0.0
            for _ in range(turns):
                seconds += ends.seconds(template, scenario, next(numbers))
                # Sweeps, and what is not of one call, run in between.
                await asyncio.sleep(0)
            found.append(seconds / turns / CONNECTIONS * 1e6)
        ends.close()
        stop.set()
        await serving
        return found


def _store(scenario: Scenario, servers: Servers) -> Path:
    """The documents that the scenario's gateway serves, and what they call."""
    cores = share_out().upstream
    if scenario.server == "gateway":
        return servers.documents("inside", servers.upstream(cores))
    return servers.relay_documents(cores)


def _warm(scenario: Scenario, port: int) -> bytes:
    """The request, after some calls over real sockets: servers are known then, and connections open."""
    template = scenario.template(Listening(port))
    client = Client(port)
    for number in range(10_000_000, 10_000_004):
        answered = client.ask(template, number)
        if not scenario.fits(number, answered.body):
            raise RuntimeError(f"a wrong answer: {answered.body!r}")
    client.close()
    return template


def _ends(worker: Worker) -> Ends:
    ends, loop = Ends(worker), asyncio.get_running_loop()
    for _ in range(CONNECTIONS):
        guest, transport = Guest(worker.public), NoSocket()
        guest.connection_made(cast(asyncio.Transport, transport))
        ends.guests.append((guest, transport))
        for pool in _pools(worker):
            line, transport = Line(pool, loop), NoSocket()
            line.connection_made(cast(asyncio.Transport, transport))
            pool.released(line)
            ends.lines.append((line, transport))
    return ends


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.inside", description=__doc__)
    parser.add_argument("scenario", choices=NAMES, nargs="*", help="all of them where none is named")
    parser.add_argument("--turns", type=int, default=200, help="calls on each of 64 connections, in each of 7 rounds")
    arguments = parser.parse_args()
    for scenario in SCENARIOS:
        if scenario.name not in (arguments.scenario or NAMES):
            continue
        with tempfile.TemporaryDirectory(prefix="portico-inside-") as directory:
            Path(directory).chmod(0o755)
            found = uvloop.run(measure(scenario, Path(directory), arguments.turns))
        print(f"{scenario.name:<20} {min(found):6.2f} µs, median {statistics.median(found):.2f}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
