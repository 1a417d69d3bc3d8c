"""Load by wrk on one server: how many calls, what they cost, how long they took, and whether they were right."""

from __future__ import annotations

import json
import subprocess
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from bench.client import Fits, Witness
from bench.processes import Process
from bench.servers import Server

SCRIPT = Path(__file__).with_name("load.lua")
CONNECTIONS = 64


@dataclass(frozen=True)
class Load:
    """One kind of request to one server, and what a right answer looks like."""

    server: Server
    template: bytes
    fits: Fits


@dataclass(frozen=True)
class Measure:
    """One round. `cpu` is microseconds of a call, other times are milliseconds, memory is bytes.

    `busy` is the share of the time that the server ran, `waited` the one that it could not since others had its core.
    """

    rate: float
    cpu: float
    busy: float
    waited: float
    p50: float
    p99: float
    memory: int
    calls: int
    refused: int
    broken: int
    witnessed: int
    wrong: int
    example: str

    @property
    def clean(self) -> bool:
        return self.refused + self.broken + self.wrong == 0 and self.witnessed > 0

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def run(load: Load, cores: str, seconds: float, directory: Path, pause: float = 0) -> Measure:
    """`pause` is the mean wait of each connection between two calls, in milliseconds."""
    request = directory / "request.http"
    request.write_bytes(load.template)
    witness = Witness(load.server.port, load.template, load.fits)
    witness.start()
    process = load.server.process
    before, waited = process.cpu(), process.waited()
    figures = _wrk(load.server.port, request, cores, seconds, directory, pause)
    used, waited = process.cpu() - before, process.waited() - waited
    witness.end()
    process.check()
    calls = int(figures["calls"]) + witness.calls
    return Measure(
        rate=figures["calls"] / figures["seconds"],
        cpu=1e6 * used / max(calls, 1),
        busy=used / figures["seconds"],
        waited=waited / figures["seconds"],
        p50=figures["p50"] / 1000,
        p99=figures["p99"] / 1000,
        memory=process.memory(),
        calls=calls,
        refused=int(figures["refused"]),
        broken=int(figures["broken"]),
        witnessed=witness.calls,
        wrong=witness.wrong,
        example=witness.example,
    )


def _wrk(port: int, request: Path, cores: str, seconds: float, directory: Path, pause: float) -> dict[str, float]:
    output = directory / "wrk.out"
    command = ["wrk", "-t", "1", "-c", str(CONNECTIONS), "-d", f"{seconds:.0f}s", "--timeout", "10s", "-s", str(SCRIPT)]
    process = Process([*command, f"http://127.0.0.1:{port}", "--", str(request), f"{pause:.3f}"], cores, output)
    try:
        process.wait(seconds + 60)
    except subprocess.TimeoutExpired:
        raise RuntimeError("wrk does not end") from None
    finally:
        process.end()
    for line in output.read_text().splitlines():
        if line.startswith("JSON "):
            return json.loads(line[5:])
    raise RuntimeError(f"wrk said: {output.read_text()} {output.with_suffix('.err').read_text()}")
