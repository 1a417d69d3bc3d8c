"""Principal: who asks, as a credential has proved it. There is no empty one."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Protocol

from portico.config.patterns import Patterns


@dataclass(frozen=True, slots=True)
class Principal:
    """`id` is unique over all tenants and says whether two are the same; the rest may differ from one credential of a
    principal to its next. `name` is for people and logs. `tools` are those that it may use, None for all of them.
    `until` is in seconds since 1970."""

    id: str
    name: str = field(default="", compare=False)
    tools: Patterns | None = field(default=None, compare=False)
    until: float = field(default=math.inf, compare=False)

    def __post_init__(self) -> None:
        if not self.id:
            raise ValueError("a principal has an id")


class Refused(Exception):
    """A credential that proves nothing here. `why` is for the caller, and never repeats the credential.

    `scopes` are there when the credential is good, but allows nothing here without one of them.
    """

    def __init__(self, why: str, scopes: tuple[str, ...] = ()) -> None:
        super().__init__(why)
        self.why = why
        self.scopes = scopes


class Guard(Protocol):
    """Who may use one endpoint."""

    @property
    def how(self) -> str:
        """A sentence that tells a stranger what to send."""
        ...

    @property
    def issuer(self) -> str | None:
        """Who gives tokens out, where tokens are what is asked for."""
        ...

    @property
    def audience(self) -> str:
        """What tokens have to be meant for; empty where no tokens are asked for."""
        ...

    @property
    def scopes(self) -> tuple[str, ...]:
        """Every scope that means something here."""
        ...

    @property
    def takes_api_key_header(self) -> bool: ...

    def known(self, credential: str) -> Principal | None:
        """The principal, where that can be said at once; None where `verify` has to be asked."""
        ...

    async def verify(self, credential: str) -> Principal:
        """The principal, or Refused."""
        ...

    def still(self, principal: Principal) -> Principal | None:
        """The principal as it is now, or None when it may not use the endpoint any more."""
        ...
