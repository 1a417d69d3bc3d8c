"""What the repository promises about its source, beyond the import rules: sizes, names, and who may reach what."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[2] / "src" / "portico"
MODULES = sorted(SOURCE.rglob("*.py"))
DRAWERS = {"utils", "util", "helpers", "helper", "common", "base", "manager", "misc"}
LONGEST_MODULE = 400
DIALLING = {"open_connection", "create_connection", "sock_connect", "urlopen", "HTTPConnection", "HTTPSConnection"}


def shown(path: Path) -> str:
    return str(path.relative_to(SOURCE))


def names(path: Path) -> Iterator[str]:
    """Every plain name, attribute and imported name that a module mentions."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Name):
            yield node.id
        elif isinstance(node, ast.Attribute):
            yield node.attr
        elif isinstance(node, ast.ImportFrom):
            yield from (alias.name for alias in node.names)


@pytest.mark.parametrize("path", MODULES, ids=shown)
def test_a_module_says_in_one_to_eight_lines_what_it_is_for(path: Path) -> None:
    docstring = ast.get_docstring(ast.parse(path.read_text()))
    assert docstring
    assert len(docstring.splitlines()) <= 8


def test_a_module_fits_in_the_head() -> None:
    assert [shown(path) for path in MODULES if len(path.read_text().splitlines()) > LONGEST_MODULE] == []


def test_a_module_is_a_noun_and_not_a_drawer() -> None:
    assert [shown(path) for path in MODULES if DRAWERS & {path.stem, path.parent.name}] == []


def test_only_settings_reads_the_environment() -> None:
    readers = {shown(path) for path in MODULES if {"environ", "getenv"} & set(names(path))}
    assert readers <= {"settings.py"}


def test_every_outbound_connection_is_made_in_net() -> None:
    diallers = {shown(path) for path in MODULES if DIALLING & set(names(path))}
    assert {path for path in diallers if not path.startswith("net/")} == set()
