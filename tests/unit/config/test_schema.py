"""The JSON Schema of documents agrees with the models, and what is committed with both."""

from pathlib import Path

import jsonschema_rs
import yaml

from portico.config.auth import AUTH_MODES
from portico.config.schema import document_schema, schema_text

from .test_check import GOOD

ROOT = Path(__file__).parents[3]


def test_the_committed_schema_is_the_generated_one() -> None:
    assert (ROOT / "schema/document.schema.json").read_text() == schema_text(), "run `make generate` and commit it"


def test_the_schema_is_one_and_accepts_a_good_document() -> None:
    schema = document_schema()
    jsonschema_rs.meta.validate(schema)
    assert jsonschema_rs.Draft202012Validator(schema).is_valid(yaml.safe_load(GOOD))


def test_the_schema_refuses_what_check_refuses() -> None:
    validator = jsonschema_rs.Draft202012Validator(document_schema())
    for change in (
        ("prefix:", "prefxi:"),
        ("in: path", "in: pth"),
        ("timeout: 10s", "timeout: soon"),
        ("/users\n", "users/\n"),
    ):
        assert not validator.is_valid(yaml.safe_load(GOOD.replace(*change))), change


def test_the_schema_lists_only_what_is_built() -> None:
    assert document_schema()["$defs"]["Auth"]["properties"]["mode"]["enum"] == list(AUTH_MODES)


def test_every_field_is_camel_case() -> None:
    for model in document_schema()["$defs"].values():
        assert all("_" not in name.lstrip("_") for name in model.get("properties", {}))
