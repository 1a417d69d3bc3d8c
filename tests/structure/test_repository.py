"""What the repository promises to whoever clones it: few commands, no trace of a machine, links that lead somewhere."""

import os
import re
import subprocess
import tomllib
from pathlib import Path

import pytest

import portico

ROOT = Path(__file__).parents[2]
LISTED = subprocess.run(
    ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
    cwd=ROOT,
    capture_output=True,
    text=True,
    check=True,
)
FILES = sorted(path for name in LISTED.stdout.split("\0") if name and (path := ROOT / name).is_file())
PAGES = [path for path in FILES if path.suffix == ".md"]
TRACES = {
    "a path of one machine": re.compile(r"/wor[k]/(main|shared)\b|/home/\w+/|/Users/\w+/"),
    "a folder that is not in the repository": re.compile(
        r"(?<![\w/])shared/(design|spec|conformance|seed|reference|hooks)\b"
    ),
    "a package registry": re.compile(r"registry\.npmjs|pypi\.org|python[h]osted"),
}


def shown(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("trace", TRACES)
def test_no_file_names(trace: str) -> None:
    found = [shown(path) for path in FILES if TRACES[trace].search(path.read_text(errors="ignore"))]
    assert found == []


@pytest.mark.parametrize("page", PAGES, ids=shown)
def test_every_link_of_a_page_leads_to_a_file(page: Path) -> None:
    prose = re.sub(r"^```.*?^```", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    targets = re.findall(r"\]\(([^)\s#]+)(?:#[^)\s]*)?\)", prose)
    missing = [target for target in targets if "://" not in target and not (page.parent / target).exists()]
    assert missing == []


def test_make_help_lists_every_target_and_there_are_at_most_twelve() -> None:
    phony = re.search(r"^\.PHONY: (.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert phony
    targets = phony[1].split()
    printed = subprocess.run(
        ["make", "--no-print-directory", "help"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert [line.split()[1] for line in printed.stdout.splitlines()] == targets
    assert len(targets) <= 12


def test_continuous_integration_runs_make_test() -> None:
    script = ROOT / ".ci/run"
    assert os.access(script, os.X_OK)
    assert script.read_text().splitlines()[-1] == "exec make test"


def test_the_version_is_the_same_everywhere() -> None:
    assert tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"] == portico.__version__


def test_the_changelog_begins_with_what_is_unreleased() -> None:
    headings = re.findall(r"^## (.*)$", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert headings[0] == "Unreleased"
