"""Where the gateway's time goes under load: py-spy's samples, counted by function."""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path

from bench.load import Load, run
from bench.processes import Process

RATE = 250
LOOP = "Runner.run"
PY_SPY = str(Path(sys.executable).with_name("py-spy"))


def profile(load: Load, cores: str, seconds: float, directory: Path) -> dict[str, list[tuple[str, float]]]:
    """Shares of the samples: `own` where they were taken, `within` wherever a function is on the stack."""
    stacks = directory / "stacks.txt"
    command = [PY_SPY, "record", "--pid", str(load.server.process.pid), "--rate", str(RATE), "--format", "raw"]
    command += ["--duration", f"{seconds:.0f}", "--output", str(stacks), "--function"]
    recorder = Process(command, cores, directory / "py-spy.out")
    try:
        run(load, cores, seconds + 2, directory)
        recorder.wait(seconds + 30)
    finally:
        recorder.end()
    if not stacks.exists():
        raise RuntimeError(f"py-spy said: {(directory / 'py-spy.err').read_text()}")
    return count(stacks.read_text())


def count(text: str) -> dict[str, list[tuple[str, float]]]:
    """From lines of the form `outer;inner NUMBER`, of which only what the event loop runs is of interest."""
    own: Counter[str] = Counter()
    within: Counter[str] = Counter()
    for line in text.splitlines():
        stack, _, number = line.rpartition(" ")
        _, loop, inner = stack.partition(LOOP)
        if not loop:
            continue
        frames = ["the event loop, in C", *inner.split(";")[1:]]
        own[frames[-1]] += int(number)
        for frame in set(frames):
            within[frame] += int(number)
    total = sum(own.values()) or 1
    return {
        name: [(frame, hits / total) for frame, hits in counter.most_common(40)]
        for name, counter in (("own", own), ("within", within))
    }
