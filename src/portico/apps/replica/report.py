"""What a replica says of itself: the parts of its workers, joined and bounded. It holds no time of this machine's
clock, which may be wrong; how old a report is says the store.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import msgspec

from portico.store.store import MAX_REPORT

MOST_TOLD = 20
MOST_WORDS = 300
DOWN = ("down", "left alone")
_WORST = ("down", "left alone", "starting", "serving", "onDemand")


class Upstream(msgspec.Struct, frozen=True):
    """`name` is TENANT/DOCUMENT/NAME of an MCP server, HOST:PORT of a service. `workers` says for how many it is so."""

    name: str
    state: str
    reason: str = ""
    workers: int = 1


class Figures(msgspec.Struct, frozen=True):
    """Of the last `seconds`, of which there are 60 or less. `failed` are tool errors and protocol errors."""

    seconds: float = 0
    calls: int = 0
    failed: int = 0
    refused: int = 0
    busy: float = 0
    """Seconds that the calls took, together."""


class Part(msgspec.Struct, frozen=True):
    """One worker. `problems` counts by severity; `told` are the first of them."""

    revision: str = ""
    trouble: str = ""
    secrets: str = ""
    endpoints: int = 0
    documents: dict[str, int] = {}
    problems: dict[str, int] = {}
    told: tuple[str, ...] = ()
    upstreams: tuple[Upstream, ...] = ()
    figures: Figures = Figures()


class Report(msgspec.Struct, frozen=True):
    """`revision` is the oldest that a worker serves, `newest` the newest. Of upstreams `down` names the first."""

    version: str = ""
    host: str = ""
    address: str = ""
    uptime: float = 0
    workers: int = 0
    answering: int = 0
    revision: str = ""
    newest: str = ""
    trouble: str = ""
    secrets: str = ""
    endpoints: int = 0
    documents: dict[str, int] = {}
    problems: dict[str, int] = {}
    told: tuple[str, ...] = ()
    upstreams: dict[str, int] = {}
    down: tuple[Upstream, ...] = ()
    figures: Figures = Figures()

    @property
    def agreed(self) -> bool:
        """Whether all workers are there, and serve the same."""
        return self.answering == self.workers and self.revision == self.newest


def joined(parts: Sequence[Part], about: Report) -> Report:
    """`about` says what is known without the workers."""
    last = min(parts, key=_age, default=Part())
    upstreams = _together(parts)
    return msgspec.structs.replace(
        about,
        answering=len(parts),
        revision=last.revision,
        newest=max(parts, key=_age, default=last).revision,
        trouble=_short(next((part.trouble for part in parts if part.trouble), "")),
        secrets=_short(next((part.secrets for part in parts if part.secrets), "")),
        endpoints=last.endpoints,
        documents=last.documents,
        problems=last.problems,
        told=tuple(_short(text) for text in last.told[:MOST_TOLD]),
        upstreams=dict(Counter(upstream.state for upstream in upstreams)),
        down=tuple(each for each in upstreams if each.state in DOWN)[:MOST_TOLD],
        figures=_sum([part.figures for part in parts]),
    )


def encoded(report: Report) -> bytes:
    """Shorter by its texts, should it be too large for the store."""
    text = msgspec.json.encode(report)
    return text if len(text) <= MAX_REPORT else msgspec.json.encode(msgspec.structs.replace(report, told=(), down=()))


def _age(part: Part) -> tuple[int, str]:
    """Revisions of databases are numbers."""
    return (int(part.revision) if part.revision.isdecimal() else -1), part.revision


def _together(parts: Sequence[Part]) -> list[Upstream]:
    """Each upstream once, as the worker sees it for which it is worst; those that are worst come first."""
    found: dict[str, list[Upstream]] = {}
    for part in parts:
        for upstream in part.upstreams:
            found.setdefault(upstream.name, []).append(upstream)
    worst = [_worst(seen) for seen in found.values()]
    return sorted(worst, key=lambda upstream: (_WORST.index(upstream.state), upstream.name))


def _worst(seen: Sequence[Upstream]) -> Upstream:
    worst = min(seen, key=lambda upstream: _WORST.index(upstream.state))
    alike = sum(upstream.state == worst.state for upstream in seen)
    return Upstream(_short(worst.name), worst.state, _short(worst.reason), alike)


def _sum(figures: Sequence[Figures]) -> Figures:
    return Figures(
        max((each.seconds for each in figures), default=0),
        sum(each.calls for each in figures),
        sum(each.failed for each in figures),
        sum(each.refused for each in figures),
        round(sum(each.busy for each in figures), 3),
    )


def _short(text: str) -> str:
    return text if len(text) <= MOST_WORDS else text[: MOST_WORDS - 1] + "…"
