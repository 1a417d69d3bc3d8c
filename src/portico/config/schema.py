"""The JSON Schema of documents, generated from the models; it drives editors' completion and the UI."""

from __future__ import annotations

import json
from typing import Any

from portico.config.document import Document

ID = "urn:portico:document:1"
DIALECT = "https://json-schema.org/draft/2020-12/schema"


def document_schema() -> dict[str, Any]:
    """JSON Schema 2020-12, with the names that stand in the text. It lists only what is built."""
    schema = Document.model_json_schema(by_alias=True, mode="validation")
    _tidy(schema)
    schema.pop("title", None)
    return {"$schema": DIALECT, "$id": ID, "title": "Portico document", **schema}


def schema_text() -> str:
    """The schema as it is committed and printed."""
    return json.dumps(document_schema(), indent=2, ensure_ascii=False) + "\n"


def _tidy(schema: Any) -> None:
    """Take away the titles that pydantic makes out of field names: editors would show them instead of descriptions."""
    if isinstance(schema, list):
        for each in schema:
            _tidy(each)
        return
    if not isinstance(schema, dict):
        return
    if isinstance(schema.get("title"), str):
        del schema["title"]
    for key, value in schema.items():
        if key in ("properties", "$defs"):
            for inner in value.values():
                _tidy(inner)
        elif key not in ("default", "examples", "enum", "const"):
            _tidy(value)
