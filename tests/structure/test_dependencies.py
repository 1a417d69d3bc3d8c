"""What the repository promises about its dependencies: reasoned, locked with hashes, and naming no registry."""

import json
import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
RUNTIME = [Requirement(line) for line in PROJECT["project"]["dependencies"]]
TOOLS = [Requirement(line) for group in PROJECT["dependency-groups"].values() for line in group]
PACKAGE = json.loads((ROOT / "tests/clients/package.json").read_text())
PACKAGE_LOCK = json.loads((ROOT / "tests/clients/package-lock.json").read_text())
LOCKS = ["run.txt", "build.txt", "dev.txt"]


def locked(name: str) -> dict[str, tuple[Version, list[str]]]:
    """The requirements of one lock file: version and hashes by name."""
    text = (ROOT / "requirements" / name).read_text().replace("\\\n", " ")
    lines = [line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    pins: dict[str, tuple[Version, list[str]]] = {}
    for line in lines:
        match = re.fullmatch(r"(\S+)==(\S+)( ; [^-]+?)?((\s+--hash=sha256:[0-9a-f]{64})+)\s*", line)
        assert match, f"requirements/{name}: not an exact version with hashes: {line[:80]}"
        pins[canonicalize_name(match[1])] = (Version(match[2]), match[4].split())
    return pins


def test_every_direct_dependency_has_its_reason_and_every_reason_its_dependency() -> None:
    page = (ROOT / "docs/dependencies.md").read_text()
    reasons = re.findall(r"^- `([^`]+)`: \S.{15,}\.$", page, re.MULTILINE)
    named = {canonicalize_name(requirement.name) for requirement in RUNTIME + TOOLS}
    assert len(reasons) == len(set(reasons))
    assert {canonicalize_name(name) for name in reasons if name not in PACKAGE["dependencies"]} == named
    assert set(PACKAGE["dependencies"]) <= set(reasons)


@pytest.mark.parametrize("name", LOCKS)
def test_a_lock_file_pins_everything_with_hashes_and_names_no_host(name: str) -> None:
    assert locked(name)
    assert "://" not in (ROOT / "requirements" / name).read_text()


def test_the_lock_files_agree_with_each_other_and_with_the_project() -> None:
    run, build, dev = (locked(name) for name in LOCKS)
    assert {name: pin for name, pin in dev.items() if name in run} == run
    assert {name: pin for name, pin in dev.items() if name in build} == build
    for requirements, lock in ((RUNTIME, run), (TOOLS, dev)):
        for requirement in requirements:
            version, _ = lock[canonicalize_name(requirement.name)]
            assert requirement.specifier.contains(version), f"{requirement} is locked at {version}: run `make lock`"


@pytest.mark.parametrize(
    ("name", "floor"), [("starlette", "1.3.0"), ("h11", "0.16"), ("pyjwt", "2.15"), ("mcp", "2.2")]
)
def test_nothing_is_locked_below_the_version_that_mended_an_advisory(name: str, floor: str) -> None:
    assert locked("dev.txt")[name][0] >= Version(floor)


def test_the_javascript_clients_are_pinned_exactly_and_locked_without_addresses() -> None:
    assert all(re.fullmatch(r"\d+\.\d+\.\d+(-[\w.]+)?", version) for version in PACKAGE["dependencies"].values())
    assert PACKAGE_LOCK["packages"][""]["dependencies"] == PACKAGE["dependencies"], "run `make lock`"
    for name, package in PACKAGE_LOCK["packages"].items():
        assert "resolved" not in package, f"{name} has an address: the lock was written without tests/clients/.npmrc"
        assert name == "" or "integrity" in package or package.get("inBundle"), f"{name} has no hash"
