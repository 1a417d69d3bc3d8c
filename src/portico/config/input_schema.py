"""The JSON Schema of a tool's arguments, as clients see it and as calls are validated."""

from __future__ import annotations

from typing import Any

from portico.config.document import Tool


def input_schema(tool: Tool) -> dict[str, Any]:
    """`inputSchema` as it was written, or the one that `args` describe. Arguments nobody defined are refused."""
    if tool.input_schema is not None:
        return tool.input_schema
    args = tool.args or []
    schema: dict[str, Any] = {"type": "object"}
    if args:
        schema["properties"] = {arg.name: arg.schema_keywords() for arg in args}
    required = [arg.name for arg in args if arg.required]
    if required:
        schema["required"] = required
    schema["additionalProperties"] = False
    return schema


def argument_names(tool: Tool) -> frozenset[str] | None:
    """Every name that a template may read as `args.NAME`; None when the schema leaves that open."""
    if tool.input_schema is None:
        return frozenset(arg.name for arg in tool.args or [])
    composed = {"$ref", "$dynamicRef", "allOf", "anyOf", "oneOf", "if", "patternProperties", "dependentSchemas"}
    properties = tool.input_schema.get("properties", {})
    if composed & tool.input_schema.keys() or tool.input_schema.get("additionalProperties", False) is not False:
        return None
    return frozenset(properties) if isinstance(properties, dict) else None
