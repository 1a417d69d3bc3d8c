"""The pages of docs/ say what the code does: their YAML, tables and messages are compared with it."""

import dataclasses
import importlib
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import BaseModel

from portico.apps import limits
from portico.config import auth
from portico.config import document as schema
from portico.config.check import check
from portico.gateway.ingress.heads import HeadLimits
from portico.gateway.ingress.listener import Patience
from portico.gateway.protocol.admission import CallLimits
from portico.gateway.protocol.bridge.parking import ParkingLimits
from portico.gateway.session.memory import SessionLimits
from portico.net.limits import ClientLimits
from portico.observe.access_log import Line
from portico.observe.metrics import METRICS
from portico.settings import Settings, _toml
from portico.template import compile_value
from portico.template.filters import FILTERS

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
SOURCE = "".join(path.read_text() for path in sorted((ROOT / "src" / "portico").rglob("*.py")))
BASE = {"version": 1, "name": "docs", "values": {"base": "http://127.0.0.1:5236"}}
UNITS = {"": 1, "s": 1, "%": 0.01, "KiB": 1024, "MiB": 1024 * 1024}
ENDPOINT = "http://127.0.0.1:5235/users/mcp"


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", page.read_text(), re.MULTILINE | re.DOTALL)


def rows(page: Path, heading: str) -> Iterator[list[str]]:
    """The cells of every table of a page that has this heading."""
    names, wanted = heading.split(" | "), False
    for line in page.read_text().splitlines():
        cells = [cell.strip().replace("\\|", "|") for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
        wanted = bool(cells) and (wanted or cells == names)
        if wanted and cells != names and set(cells[0]) != {"-"}:
            yield cells


@pytest.mark.parametrize("text", [*blocks(DOCS / "documents.md", "yaml"), *blocks(DOCS / "auth.md", "yaml")])
def test_the_yaml_of_the_page_on_documents_has_no_problem(text: str) -> None:
    given = yaml.safe_load(text)
    whole = text if "version" in given else yaml.safe_dump(BASE | given, sort_keys=False, allow_unicode=True)
    checked = check(whole, "docs.yaml", secrets=frozenset({"BOOKS_TOKEN", "TRACKER_TOKEN"}))
    assert [problem.render() for problem in checked.problems if problem.severity != "note"] == []


def models() -> Iterator[type[BaseModel]]:
    for module in (schema, auth):
        for found in vars(module).values():
            if isinstance(found, type) and issubclass(found, BaseModel) and found.__module__ == module.__name__:
                yield found


@pytest.mark.parametrize("model", list(models()), ids=lambda model: model.__name__)
def test_the_page_on_documents_names_every_field(model: type[BaseModel]) -> None:
    page = (DOCS / "documents.md").read_text()
    fields = [field.alias or name for name, field in model.model_fields.items()]
    assert [name for name in fields if f"`{name}`" not in page] == []


def test_the_page_on_templates_gives_what_the_language_gives() -> None:
    page = DOCS / "templates.md"
    (context,) = (yaml.safe_load(text) for text in blocks(page, "yaml"))
    found = list(rows(page, "template | value"))
    assert len(found) > 20
    for template, value in found:
        given = compile_value(template.strip("`"), frozenset({"args", "response"})).render(context)
        assert given == json.loads(value.strip("`")), template


def test_the_page_on_templates_names_every_filter() -> None:
    text = (DOCS / "templates.md").read_text()
    assert [name for name in FILTERS if f"`{name}`" not in text] == []


def test_the_page_on_running_lists_the_settings() -> None:
    wanted = [
        [f"`{item.name.replace('_', '-')}`", f"`{_toml(item.default)}`", item.metadata["help"]]
        for item in dataclasses.fields(Settings)
        if not item.metadata.get("limit")
    ]
    assert list(rows(DOCS / "run.md", "setting | default | meaning")) == wanted


def test_the_page_on_limits_lists_every_limit_that_can_be_set() -> None:
    wanted = {item.name: item.default for item in dataclasses.fields(Settings) if item.metadata.get("limit")}
    found = {}
    for limit, value, beyond, setting in rows(DOCS / "limits.md", "limit | default | beyond it | setting"):
        assert limit
        assert beyond
        found[setting.strip("`").replace("-", "_")] = amount(value)
    assert found == wanted


def test_the_objects_of_a_worker_have_the_settings_defaults() -> None:
    settings = Settings()
    assert limits.patience(settings) == Patience()
    assert limits.heads(settings) == HeadLimits()
    assert limits.calls(settings) == CallLimits()
    assert limits.sessions(settings) == SessionLimits()
    assert limits.parking(settings) == ParkingLimits()
    assert limits.client(settings) == ClientLimits()


def test_each_limit_that_is_set_reaches_its_object() -> None:
    names = [item.name for item in dataclasses.fields(Settings) if item.metadata.get("limit")]
    settings = Settings(**{name: number for number, name in enumerate(names, 7)})
    made = (
        limits.patience(settings), limits.heads(settings), limits.calls(settings), limits.sessions(settings),
        limits.parking(settings), limits.client(settings),
    )  # fmt: skip
    reached = [value for each in made for value in dataclasses.astuple(each) if isinstance(value, int)]
    missing = {name for number, name in enumerate(names, 7) if number not in reached}
    # The worker hands these over by itself.
    assert missing == {
        "limit_body",
        "limit_connections",
        "limit_parked_time",
        "limit_streams",
        "limit_streams_address",
        "limit_streams_principal",
    }


def test_the_limits_of_the_page_are_those_of_the_code() -> None:
    found = list(rows(DOCS / "limits.md", "limit | value | beyond it | where"))
    assert len(found) > 20
    for limit, value, _, where in found:
        assert constant(where.strip("`")) == amount(value), limit


def amount(text: str) -> float:
    number, _, unit = text.replace(",", "").partition(" ")
    return float(number) * UNITS[unit]


def constant(path: str) -> Any:
    """The value at `module.NAME` or `module.Class.name`, where the class may be a dataclass with defaults."""
    *module, owner, name = path.split(".")
    if owner[0].islower():
        return getattr(importlib.import_module(".".join(["portico", *module, owner])), name)
    found = getattr(importlib.import_module(".".join(["portico", *module])), owner)
    fields = {item.name: item.default for item in dataclasses.fields(found)} if dataclasses.is_dataclass(found) else {}
    return fields[name] if name in fields else getattr(found, name)


def test_the_messages_of_the_page_on_errors_are_in_the_code() -> None:
    source = re.sub(r'"\s*f?"', "", SOURCE)
    page = DOCS / "errors.md"
    texts = [cells[0] for cells in rows(page, "text | meaning | mend")]
    texts += [
        cells[1]
        for heading in ("code | text | meaning, mend", "status | text | meaning, mend")
        for cells in rows(page, heading)
    ]
    parts = [part.strip() for text in texts for quoted in re.findall("`([^`]+)`", text) for part in quoted.split("…")]
    known = re.compile(r"HTTP \d+.*|text/event-stream")
    missing = [part for part in parts if part and not known.fullmatch(part) and part not in source]
    assert len(parts) > 30
    assert missing == []


def test_the_page_on_observing_names_every_member_of_a_line() -> None:
    found = [cells[0].strip("`") for cells in rows(DOCS / "observe.md", "member | meaning")]
    assert found == list(Line.__struct_fields__)


def test_the_page_on_observing_lists_every_metric() -> None:
    found = list(rows(DOCS / "observe.md", "metric | kind | labels | meaning"))
    wanted = [[f"`{m.name}`", m.kind, ", ".join(f"`{label}`" for label in m.labels)] for m in METRICS.values()]
    assert [cells[:3] for cells in found] == wanted


@pytest.mark.parametrize("text", blocks(DOCS / "connect.md", "json"))
def test_the_files_of_clients_name_the_endpoint(text: str) -> None:
    ((_, servers),) = json.loads(text).items()
    assert ENDPOINT in json.dumps(servers["users"])


def test_every_decision_is_in_the_list() -> None:
    listed = re.findall(r"\]\((\d{4}-[^)]+)\)", (DOCS / "decisions" / "README.md").read_text())
    assert listed == sorted(path.name for path in (DOCS / "decisions").glob("0*.md"))


def test_every_file_that_the_architecture_shows_is_there() -> None:
    tree = blocks(ROOT / "ARCHITECTURE.md", "text")[0].partition("\ntests/")[0]
    names = {path.name for path in (ROOT / "src" / "portico").rglob("*.py")}
    folders = {path.parent.name for path in (ROOT / "src" / "portico").rglob("*.py")}
    assert set(re.findall(r"\b[a-z0-9_]+\.py\b", tree)) - names == set()
    assert folders - {"portico"} == set(re.findall(r"─ ([a-z]+)/", tree))
