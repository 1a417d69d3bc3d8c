"""`portico doctor`: everything is looked at in turn, and nothing is changed."""

from __future__ import annotations

import asyncio

from portico.apps.doctor.finding import Finding
from portico.apps.doctor.keeping import store
from portico.apps.doctor.notifiers import notifiers
from portico.apps.doctor.outbound import outbound
from portico.apps.doctor.ports import ports
from portico.apps.outcome import Outcome
from portico.apps.printing import printable
from portico.settings import Settings


def doctor(settings: Settings) -> Outcome:
    """Exit code 1 when something is wrong."""
    found = asyncio.run(_found(settings))
    wrong = sum(bool(each.mend) for each in found)
    lines = [f"{each.state:<5}  {each.part:<9}  {printable(_sentence(each))}" for each in found]
    lines.append(f"{wrong} of {len(found)} are wrong." if wrong else "Nothing is wrong.")
    data = [{"part": each.part, "state": each.state, "says": each.says, "mend": each.mend} for each in found]
    return Outcome(lines, data, 1 if wrong else 0)


async def _found(settings: Settings) -> list[Finding]:
    kept, contents = await store(settings)
    return [*await ports(settings), *kept, *await outbound(settings, contents), *await notifiers(settings)]


def _sentence(finding: Finding) -> str:
    return f"{finding.says.rstrip('.')}. {finding.mend}." if finding.mend else finding.says
