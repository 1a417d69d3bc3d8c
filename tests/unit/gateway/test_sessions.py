"""The sessions of a worker: bounded, bound to endpoint and principal, and gone when their time has come."""

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, rule

from portico.auth.principal import Principal
from portico.gateway.session.memory import Full, SessionLimits, Sessions
from portico.gateway.session.session import Session

LIMITS = SessionLimits(idle=100.0, lifetime=1000.0, most=6, per_principal=2, per_address=3)
PREFIXES = ("/users", "/users/old", "/")
PRINCIPALS = (None, Principal("ada"), Principal("=ada"))
ADDRESSES = ("192.0.2.1", "=ada", "192.0.2.2")


class World(RuleBasedStateMachine):
    opened = Bundle("opened")

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.sessions = Sessions("w1", b"k" * 32, LIMITS, lambda: self.now)
        self.used: dict[str, float] = {}
        self.created: dict[str, float] = {}

    @rule(
        target=opened,
        prefix=st.sampled_from(PREFIXES),
        principal=st.sampled_from(PRINCIPALS),
        address=st.sampled_from(ADDRESSES),
        busy=st.booleans(),
    )
    def create(self, prefix: str, principal: Principal | None, address: str, busy: bool) -> Session | None:
        try:
            session = self.sessions.create(prefix, principal, address)
        except Full:
            # An idle session of the same owner would have made room.
            mine = [s for s in self.sessions if (s.principal, principal is None and s.address) == (
                principal, principal is None and address)]  # fmt: skip
            assert all(session.busy for session in mine)
            return None
        assert session.identifier not in self.used
        self.used[session.identifier] = self.created[session.identifier] = self.now
        if busy:
            session.calls[1] = lambda: None
        return session

    @rule(session=opened, prefix=st.sampled_from(PREFIXES), principal=st.sampled_from(PRINCIPALS))
    def find(self, session: Session | None, prefix: str, principal: Principal | None) -> None:
        if session is None:
            return
        found = self.sessions.find(session.identifier, prefix, principal)
        owner = self.sessions.owner(session.identifier, prefix, principal)
        right = (prefix, principal) == (session.prefix, session.principal)
        assert owner == ("w1" if right else None)
        assert found is None or (found is session and right)
        if found is not None:
            assert self.now - self.created[session.identifier] <= LIMITS.lifetime
            assert session.busy or self.now - self.used[session.identifier] <= LIMITS.idle
            self.used[session.identifier] = self.now

    @rule(session=opened)
    def end(self, session: Session | None) -> None:
        if session is not None:
            self.sessions.end(session)
            assert self.sessions.find(session.identifier, session.prefix, session.principal) is None
            assert not session.busy

    @rule(session=opened)
    def finish_the_call(self, session: Session | None) -> None:
        if session is not None:
            session.calls.clear()

    @rule(seconds=st.floats(0, 400))
    def wait(self, seconds: float) -> None:
        self.now += seconds

    @rule()
    def sweep(self) -> None:
        self.sessions.sweep()
        for session in self.sessions:
            assert session.busy or self.now - session.used <= LIMITS.idle
            assert self.now - session.created <= LIMITS.lifetime

    @invariant()
    def bounded(self) -> None:
        everybody = list(self.sessions)
        assert len(everybody) == len(self.sessions) <= LIMITS.most
        for principal in PRINCIPALS[1:]:
            assert sum(session.principal == principal for session in everybody) <= LIMITS.per_principal
        for address in ADDRESSES:
            mine = [session for session in everybody if session.principal is None and session.address == address]
            assert len(mine) <= LIMITS.per_address
        assert sum(len(group) for group in self.sessions._by_owner.values()) == len(everybody)
        assert all(self.sessions._by_owner.values())


TestWorld = World.TestCase
TestWorld.settings = settings(max_examples=60, stateful_step_count=30)


def test_an_identifier_of_another_gateway_is_never_ours() -> None:
    ours = Sessions("w1", b"a" * 32, SessionLimits(), lambda: 0.0)
    theirs = Sessions("w1", b"b" * 32, SessionLimits(), lambda: 0.0)
    identifier = theirs.create("/users", None, "192.0.2.1").identifier
    assert ours.owner(identifier, "/users", None) is None
    assert ours.find(identifier, "/users", None) is None


def test_any_worker_of_a_gateway_knows_whose_a_session_is() -> None:
    one, other = (Sessions(name, b"a" * 32, SessionLimits(), lambda: 0.0) for name in ("w1", "w2"))
    identifier = one.create("/users", Principal("ada"), "192.0.2.1").identifier
    assert other.owner(identifier, "/users", Principal("ada")) == "w1"
    assert other.owner(identifier, "/users", None) is None
    assert other.owner(identifier.replace("w1", "w2"), "/users", Principal("ada")) is None


@pytest.mark.parametrize("identifier", ["", ".", "..", "w1..", "w1.\n.x", "\xff.\xff.\xff", "w1" + "." * 100, "\ud800"])
def test_nonsense_is_no_identifier(identifier: str) -> None:
    sessions = Sessions("w1", b"a" * 32, SessionLimits(), lambda: 0.0)
    if identifier != "\ud800":
        assert sessions.owner(identifier, "/users", None) is None
    assert sessions.find(identifier, "/users", None) is None


def test_the_end_of_a_session_cancels_its_calls_and_ends_its_streams() -> None:
    sessions = Sessions("w1", b"a" * 32, SessionLimits(), lambda: 0.0)
    session = sessions.create("/users", None, "192.0.2.1")
    cancelled = []
    session.calls["c"] = lambda: cancelled.append("c")
    log = session.open_log()
    sessions.close()
    assert cancelled == ["c"]
    assert log.finished
    assert session.standing.finished
    assert len(sessions) == 0
