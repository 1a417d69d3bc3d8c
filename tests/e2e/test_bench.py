"""The parts of the bench that reach into the gateway keep up with it."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.e2e
ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("scenario", ["rest-legacy", "combined-modern", "bridge-legacy"])
def test_calls_are_measured_without_the_kernel(scenario: str) -> None:
    command = [sys.executable, "-m", "bench.inside", scenario, "--turns", "2"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert re.fullmatch(rf"{scenario} +[0-9.]+ µs, median [0-9.]+\n", done.stdout), done.stdout
