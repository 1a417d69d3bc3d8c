"""Texts → documents, checked and compiled: what of a reload takes time, done in a thread beside the loop that serves.

The thread gives way often, and what it makes is kept from the garbage collector: a look at all that was compiled would
take longer than a call may wait. Nothing compiled holds a cycle, so that it is freed without the collector.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from portico.config.check import Checked, check
from portico.config.document import Document
from portico.config.problem import Problem, Severity
from portico.gateway.runtime.compile import Compiled
from portico.store.secrets import Secrets
from portico.store.store import StoredText
from portico.template import RenderError, TemplateError

TURN = 0.0005
"""Seconds that the thread may go on while the loop wants to; Python's own 5 ms would be paid several times a call."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """One document's text, checked and, when nothing stands against it, compiled."""

    text: bytes | None
    secrets: tuple[tuple[str, str], ...]
    problems: tuple[Problem, ...]
    checked: Checked | None = None
    compiled: Compiled | None = None

    @property
    def document(self) -> Document | None:
        return self.checked.document if self.checked is not None else None


class Preparing:
    """`kept` is called after each document that was made. It takes what there is from the garbage collector."""

    def __init__(
        self, build: Callable[[Document, Mapping[str, str]], Compiled], kept: Callable[[], object] = lambda: None
    ) -> None:
        self._build = build
        self._kept = kept

    def prepare(
        self, texts: Sequence[StoredText], secrets: Secrets, before: Mapping[str, Prepared]
    ) -> dict[str, Prepared]:
        """Everything, of which what has not changed is taken as it was before."""
        prepared = {}
        for stored in texts:
            known = before.get(stored.key)
            if known is None or not _is_same(known, stored, secrets):
                known = self._one(stored, secrets)
                self._kept()
            prepared[stored.key] = known
        return prepared

    def _one(self, stored: StoredText, secrets: Secrets) -> Prepared:
        if stored.text is None:
            problem = Problem(
                code="unreadable",
                severity=Severity.ERROR,
                message=stored.error or "The document cannot be read",
                mend="Make the file readable for the gateway's user, or remove it",
                pointer="",
                line=1,
                column=1,
                source=stored.key,
            )
            return Prepared(None, (), (problem,))
        checked = check(stored.text, stored.key, secrets=lambda tenant: frozenset(secrets.get(tenant, ())))
        if checked.document is None:
            return Prepared(stored.text, (), checked.problems, checked)
        mine = secrets.get(checked.document.tenant, {})
        try:
            compiled = self._build(checked.document, mine)
        except (RenderError, TemplateError) as error:
            mend = "Mend the template, or give the value or secret that it reads"
            problem = Problem("not-compiled", Severity.ERROR, error.message, mend, "", 1, 1, stored.key)
            return Prepared(stored.text, _frozen(mine), (*checked.problems, problem), checked)
        return Prepared(stored.text, _frozen(mine), checked.problems, checked, compiled)


def _is_same(before: Prepared, stored: StoredText, secrets: Secrets) -> bool:
    if before.text is None or before.text != stored.text or before.document is None:
        return False
    return before.secrets == _frozen(secrets.get(before.document.tenant, {}))


def _frozen(secrets: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    return tuple(sorted(secrets.items()))


@contextmanager
def giving_way() -> Iterator[None]:
    """While this lasts, threads take turns as short as TURN."""
    usual = sys.getswitchinterval()
    sys.setswitchinterval(min(usual, TURN))
    try:
        yield
    finally:
        sys.setswitchinterval(usual)
