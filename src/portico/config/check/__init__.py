"""Judges documents: `check` one by itself, `check_together` what only shows when several are served at once.

Each judge looks at one matter; all of them run, so that every problem is told at once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from portico.config.check.answers import judge_response
from portico.config.check.content import judge_block, judge_described
from portico.config.check.draft import Draft, draft
from portico.config.check.findings import Findings
from portico.config.check.includes import judge_includes
from portico.config.check.mcp_servers import judge_mcp_servers
from portico.config.check.names import judge_names
from portico.config.check.references import judge_references
from portico.config.check.requests import judge_request
from portico.config.check.resources import judge_resources
from portico.config.check.routers import judge_routers
from portico.config.check.schemas import judge_schemas
from portico.config.check.templates import judge_prompt_templates, judge_tool_templates
from portico.config.check.together import Tenancy, collisions
from portico.config.document import Document
from portico.config.load import load
from portico.config.positions import NOWHERE, Positions
from portico.config.problem import Problem

__all__ = ["Checked", "Tenancy", "check", "check_together"]


@dataclass(frozen=True, slots=True)
class Checked:
    """`document` is None when an error stands; warnings and notes leave it usable."""

    document: Document | None
    problems: tuple[Problem, ...]
    source: str = ""
    positions: Positions = field(default=NOWHERE, repr=False, compare=False)


def check(
    text: str | bytes, source: str, *, secrets: frozenset[str] | Callable[[str], frozenset[str]] | None = None
) -> Checked:
    """Judge one document. `secrets` are the names that exist, those of a tenant where it is a function, None when that
    is not known. Never raises."""
    loaded = load(text, source)
    findings = Findings(source, loaded.positions, loaded.problems)
    if not loaded.readable:
        return Checked(None, findings.problems, source, loaded.positions)
    judged = draft(loaded.value, findings, secrets)
    _judge(judged)
    document = judged.document if findings.errors == 0 else None
    return Checked(document, findings.problems, source, loaded.positions)


def check_together(checked: Sequence[Checked], tenancy: Tenancy | None = None) -> dict[str, list[Problem]]:
    """What only shows across documents: names and prefixes taken twice, and what is another tenant's. The first by
    source name keeps them.

    Only sources with problems are in the answer; a document with one is not served.
    """
    documents = [(each.source, each.document, each.positions) for each in checked if each.document is not None]
    return collisions(documents, tenancy)


def _judge(judged: Draft) -> None:
    findings = judged.findings
    judge_names(judged)
    judge_routers(judged)
    judge_references(judged)
    judge_schemas(judged)
    judge_resources(judged)
    judge_mcp_servers(judged)
    judge_includes(judged)
    for entries in (judged.servers, judged.tools, judged.prompts, judged.resources):
        for path, thing in entries:
            judge_described(path, thing, findings)
    for path, tool in judged.tools:
        templates = judge_tool_templates(path, tool, judged)
        judge_request(path, tool, templates, judged)
        judge_response((*path, "response"), tool.response, findings)
    for path, prompt in judged.prompts:
        judge_prompt_templates(path, prompt, judged)
        for index, message in enumerate(prompt.messages):
            judge_block((*path, "messages", index, "content"), message.content, findings)
