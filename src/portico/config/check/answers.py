"""Judges what a tool makes of the upstream's answer."""

from __future__ import annotations

import jmespath
from jmespath.exceptions import JMESPathError

from portico.config.check.content import judge_block
from portico.config.check.findings import Findings
from portico.config.document import Response
from portico.config.positions import Path

MAX_SELECT = 4096


def judge_response(path: Path, response: Response, findings: Findings) -> None:
    if response.select is not None:
        _select((*path, "select"), response.select, findings)
    if "body" in response.model_fields_set and response.body is not None and response.content is not None:
        findings.error(
            (*path, "content"),
            "body-and-content",
            "the response has both body and content",
            "Keep one of the two; `select` may stand beside either",
            key=True,
        )
    for index, block in enumerate(response.content or []):
        judge_block((*path, "content", index), block, findings)


def _select(path: Path, expression: str, findings: Findings) -> None:
    mend = "Write a JMESPath expression, such as items[].name"
    if len(expression) > MAX_SELECT:
        findings.error(path, "bad-select", f"the expression is longer than {MAX_SELECT} characters", mend)
        return
    try:
        jmespath.compile(expression)
    except JMESPathError as error:
        position = getattr(error, "lex_position", None) or getattr(error, "lexer_position", None)
        reason = str(error).splitlines()[0].rstrip(":.")
        findings.error(path, "bad-select", f"this is no JMESPath expression: {reason}", mend, offset=position)
    except RecursionError:
        findings.error(path, "bad-select", "the expression is nested too deeply", mend)
