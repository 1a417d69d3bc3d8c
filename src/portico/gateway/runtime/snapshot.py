"""All documents compiled: what one moment of the gateway serves, frozen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from portico.config.problem import Problem
from portico.gateway.routing.endpoint import Endpoint
from portico.gateway.routing.table import Table, build_table


@dataclass(frozen=True, slots=True)
class DocumentState:
    """How one document fares. `serving` is `current`, `last good` (its newest text has errors) or `nothing`."""

    source: str
    name: str
    tenant: str
    serving: str
    problems: tuple[Problem, ...]
    prefixes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Snapshot:
    revision: str
    endpoints: Mapping[str, Endpoint]
    documents: Sequence[DocumentState]
    table: Table = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "table", build_table(self.endpoints.values()))

    @property
    def broken(self) -> int:
        """How many documents are not served as they are written now."""
        return sum(state.serving != "current" for state in self.documents)


EMPTY = Snapshot("", {}, ())
