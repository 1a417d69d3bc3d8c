"""Every example loads and is without a problem, alone and together with the others."""

from pathlib import Path

import pytest
import yaml

from portico.config.check import check, check_together
from portico.config.report import check_paths

EXAMPLES = Path(__file__).parents[2] / "examples"
FILES = sorted(EXAMPLES.glob("*.yaml"))
SECRETS = frozenset(path.name for path in (EXAMPLES / "secrets" / "default").iterdir())


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_an_example_has_no_problem(file: Path) -> None:
    checked = check(file.read_bytes(), str(file), secrets=SECRETS)
    assert [problem.render() for problem in checked.problems] == []
    assert checked.document is not None


def test_the_examples_can_be_served_together() -> None:
    assert check_together([check(file.read_bytes(), str(file)) for file in FILES]) == {}
    report = check_paths([EXAMPLES])
    assert (report.lines, report.exit_code) == ((f"{len(FILES)} documents: all good",), 0)


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_an_example_names_the_schema_for_editors(file: Path) -> None:
    first = file.read_text().splitlines()[0]
    schema = first.removeprefix("# yaml-language-server: $schema=")
    assert (file.parent / schema).is_file()


def test_the_examples_use_every_position_of_an_argument() -> None:
    documents = [yaml.safe_load(file.read_text()) for file in FILES]
    tools = [tool for document in documents for tool in document["tools"]]
    used = {arg.get("in") for tool in tools for arg in tool.get("args", ())}
    assert used == {None, "path", "query", "header", "cookie", "body", "form", "multipart"}
