"""The Draft: what the judges look at, even when other parts of the document are too broken to become a Document."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from pydantic import BaseModel

from portico.config.check.findings import Findings
from portico.config.check.shape import parse, salvage
from portico.config.document import Document, McpServer, Prompt, Resource, Router, Server, Tool
from portico.config.positions import Path

Item = TypeVar("Item", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class Draft:
    """Each entry with its path. The names are those that were written, of broken entries too."""

    document: Document | None
    findings: Findings
    secrets: frozenset[str] | None
    values: dict[str, Any]
    routers: list[tuple[Path, Router]]
    servers: list[tuple[Path, Server]]
    tools: list[tuple[Path, Tool]]
    prompts: list[tuple[Path, Prompt]]
    resources: list[tuple[Path, Resource]]
    mcp_servers: list[tuple[Path, McpServer]]
    server_names: frozenset[str]
    mcp_server_names: frozenset[str]
    tool_names: frozenset[str]
    prompt_names: frozenset[str]
    resource_names: frozenset[str]


def draft(raw: Any, findings: Findings, secrets: frozenset[str] | Callable[[str], frozenset[str]] | None) -> Draft:
    """Parse, and save what can be saved."""
    document = parse(raw, findings)
    values = raw.get("values") if isinstance(raw, dict) else None
    return Draft(
        document,
        findings,
        secrets if secrets is None or isinstance(secrets, frozenset) else _of_tenant(document, secrets),
        values if isinstance(values, dict) else {},
        _entries(document, raw, "routers", Router, findings),
        _entries(document, raw, "servers", Server, findings),
        _entries(document, raw, "tools", Tool, findings),
        _entries(document, raw, "prompts", Prompt, findings),
        _entries(document, raw, "resources", Resource, findings),
        [(("mcpServers", name), server) for name, server in document.mcp_servers.items()] if document else [],
        _written(raw, "servers", "name"),
        _keys(raw, "mcpServers"),
        _written(raw, "tools", "name"),
        _written(raw, "prompts", "name"),
        _written(raw, "resources", "uri", "uriTemplate"),
    )


def _of_tenant(document: Document | None, secrets: Callable[[str], frozenset[str]]) -> frozenset[str] | None:
    """Not known either, where it cannot be read whose document it is."""
    return secrets(document.tenant) if document is not None else None


def _entries(
    document: Document | None, raw: Any, section: str, model: type[Item], findings: Findings
) -> list[tuple[Path, Item]]:
    if document is None:
        return list(salvage(raw, section, model, findings))
    return [((section, index), item) for index, item in enumerate(getattr(document, section))]


def _keys(raw: Any, section: str) -> frozenset[str]:
    entries = raw.get(section) if isinstance(raw, dict) else None
    return frozenset(entries) if isinstance(entries, dict) else frozenset()


def _written(raw: Any, section: str, *fields: str) -> frozenset[str]:
    entries = raw.get(section) if isinstance(raw, dict) else None
    found = (
        entry.get(field)
        for entry in (entries if isinstance(entries, list) else ())
        if isinstance(entry, dict)
        for field in fields
    )
    return frozenset(name for name in found if isinstance(name, str))
