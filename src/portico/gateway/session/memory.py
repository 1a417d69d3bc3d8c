"""The sessions of this worker: random, self-verifying, bounded and expiring.

An identifier is `{worker}.{random}.{mac}`. The worker is the one that holds the session, so that any other can hand a
request over; the keyed hash binds the rest to the endpoint, so that a made-up identifier costs nothing to refuse.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from portico.auth.principal import Principal
from portico.gateway.session.session import Session


@dataclass(frozen=True, slots=True)
class SessionLimits:
    """Seconds and counts; the defaults are those of docs/limits.md."""

    idle: float = 1800.0
    lifetime: float = 86_400.0
    most: int = 50_000
    per_principal: int = 100
    per_address: int = 1_000


class Full(Exception):
    """There is no room for one more session; `message` says of which kind."""


class Sessions:
    def __init__(self, worker: str, key: bytes, limits: SessionLimits, clock: Callable[[], float]) -> None:
        self.worker = worker
        self._key = key
        self._limits = limits
        self._clock = clock
        self._sessions: dict[str, Session] = {}
        self._by_owner: dict[tuple[str | None, str], dict[str, Session]] = {}

    def __len__(self) -> int:
        return len(self._sessions)

    def __iter__(self) -> Iterator[Session]:
        return iter(list(self._sessions.values()))

    def create(self, prefix: str, principal: Principal | None, address: str) -> Session:
        """A new session, or Full. An idle session of the same owner makes room rather than refuse its client."""
        owner = _owner(principal, address)
        most = self._limits.per_address if principal is None else self._limits.per_principal
        mine = self._by_owner.setdefault(owner, {})
        if len(mine) >= most and not self._evict(mine):
            raise Full(f"{most} sessions of this client are in use")
        if len(self._sessions) >= self._limits.most and not self._evict(mine):
            if not mine:
                del self._by_owner[owner]
            raise Full(f"{self._limits.most} sessions are in use")
        session = Session(self._identifier(prefix, principal), prefix, principal, address, self._clock())
        self._sessions[session.identifier] = session
        self._by_owner.setdefault(owner, {})[session.identifier] = session
        return session

    def owner(self, identifier: str, prefix: str, principal: Principal | None) -> str | None:
        """The worker that an identifier names, or None when it was never issued for this endpoint and principal."""
        worker, _, rest = identifier.partition(".")
        nonce, _, mac = rest.partition(".")
        good = self._mac(worker, nonce, prefix, principal)
        return worker if mac and hmac.compare_digest(mac.encode(), good.encode()) else None

    def find(self, identifier: str, prefix: str, principal: Principal | None) -> Session | None:
        """A live session of this worker on this endpoint and of this principal; finding it counts as use."""
        session = self._sessions.get(identifier)
        if session is None or session.prefix != prefix:
            return None
        if session.principal is not principal:
            if session.principal != principal:
                return None
            # Of one principal, the credential that it presented last says how long it may stay.
            session.principal = principal
        now = self._clock()
        if self._expired(session, now):
            self.end(session)
            return None
        session.used = now
        return session

    def end(self, session: Session) -> None:
        if self._sessions.pop(session.identifier, None) is None:
            return
        owner = _owner(session.principal, session.address)
        mine = self._by_owner.get(owner, {})
        mine.pop(session.identifier, None)
        if not mine:
            self._by_owner.pop(owner, None)
        session.end()

    def sweep(self) -> None:
        """End what has expired."""
        now = self._clock()
        for session in [session for session in self._sessions.values() if self._expired(session, now)]:
            self.end(session)

    def close(self) -> None:
        for session in self:
            self.end(session)

    def _expired(self, session: Session, now: float) -> bool:
        if now - session.created > self._limits.lifetime:
            return True
        return now - session.used > self._limits.idle and not session.busy

    def _evict(self, candidates: dict[str, Session]) -> bool:
        idle = [session for session in candidates.values() if not session.busy]
        if not idle:
            return False
        self.end(min(idle, key=lambda session: session.used))
        return True

    def _identifier(self, prefix: str, principal: Principal | None) -> str:
        nonce = secrets.token_urlsafe(18)
        return f"{self.worker}.{nonce}.{self._mac(self.worker, nonce, prefix, principal)}"

    def _mac(self, worker: str, nonce: str, prefix: str, principal: Principal | None) -> str:
        text = "\n".join((worker, nonce, prefix, "" if principal is None else f"={principal.id}"))
        return hmac.new(self._key, text.encode(), hashlib.sha256).hexdigest()[:32]


def _owner(principal: Principal | None, address: str) -> tuple[str | None, str]:
    """Whom a session counts for: its principal, wherever it calls from, or the address of a caller without a name."""
    return (principal.id, "") if principal is not None else (None, address)
