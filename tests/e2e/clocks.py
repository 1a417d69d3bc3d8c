"""Processes whose clock is wrong, for all that Python asks of it."""

from pathlib import Path

HOUR = 3600
WRONG = """
import time
now = time.time_ns
time.time_ns = lambda: now() + {seconds} * 10**9
time.time = lambda: time.time_ns() / 10**9
"""


def wrong_clock(directory: Path, seconds: int) -> dict[str, str]:
    """The environment of a process whose clock is so many seconds ahead."""
    place = directory / f"clock{seconds:+}"
    place.mkdir()
    (place / "sitecustomize.py").write_text(WRONG.format(seconds=seconds))
    return {"PYTHONPATH": str(place)}
