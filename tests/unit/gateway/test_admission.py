"""Who is admitted: counters that always come back to nothing, and a bucket of tokens for each router."""

from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portico.auth.principal import Principal
from portico.gateway.protocol.admission import Admission, CallLimits
from portico.gateway.routing.endpoint import NO_LIMITS, RouterLimits
from portico.wire.errors import RpcError

LIMITS = CallLimits(in_flight=6, per_tenant=4, per_caller=3)


def call(
    prefix: str = "/a",
    tenant: str = "t",
    address: str = "10.0.0.1",
    *,
    limits: RouterLimits = NO_LIMITS,
    at: float = 0.0,
    method: str = "tools/call",
    principal: str | None = None,
) -> Any:
    endpoint = SimpleNamespace(prefix=prefix, tenant=tenant, limits=limits)
    who = None if principal is None else Principal(principal)
    return SimpleNamespace(endpoint=endpoint, method=method, address=address, principal=who, started=at, gate=None)


def enter(admission: Admission, *calls: Any) -> None:
    for each in calls:
        admission.enter(each)


def refused(admission: Admission, wanted: Any, status: int) -> RpcError:
    with pytest.raises(RpcError, match=r"^Too many: ") as raised:
        admission.enter(wanted)
    assert raised.value.status == status
    assert raised.value.retry_after >= 1
    assert f"Try again in {raised.value.retry_after} s." in raised.value.message
    return raised.value


def test_one_caller_cannot_take_all_places() -> None:
    admission = Admission(LIMITS)
    enter(admission, *(call() for _ in range(3)))
    assert "this client" in refused(admission, call(), 429).message
    enter(admission, call(address="10.0.0.2"))


def test_a_principal_is_one_caller_wherever_it_comes_from() -> None:
    admission = Admission(LIMITS)
    enter(admission, *(call(principal="ada", address=f"10.0.0.{number}") for number in range(3)))
    refused(admission, call(principal="ada", address="10.0.0.9"), 429)
    enter(admission, call(principal="alan", address="10.0.0.1"))


def test_one_tenant_cannot_take_all_places() -> None:
    admission = Admission(LIMITS)
    enter(admission, *(call(f"/{number}", address=str(number)) for number in range(4)))
    assert "this tenant" in refused(admission, call(address="x"), 429).message
    enter(admission, call("/b", tenant="other", address="x"))


def test_calls_are_bounded_in_all() -> None:
    admission = Admission(LIMITS)
    enter(admission, *(call(f"/{number}", tenant=str(number), address=str(number)) for number in range(6)))
    refused(admission, call("/x", tenant="x", address="x"), 503)


def test_a_subscription_is_a_stream_and_takes_no_place() -> None:
    admission = Admission(LIMITS)
    enter(admission, *(call(method="subscriptions/listen") for _ in range(20)))
    assert admission.calls == 0


def test_a_router_bounds_its_own_calls() -> None:
    admission, limits = Admission(CallLimits()), RouterLimits(concurrency=2)
    one, other = call(limits=limits), call(limits=limits)
    enter(admission, one, other, call("/b"), call("/b"), call("/b"))
    assert "limits.concurrency" in refused(admission, call(limits=limits), 429).message
    admission.leave(one)
    enter(admission, call(limits=limits))


def test_a_rate_lets_a_burst_through_and_then_no_more_than_it_says() -> None:
    admission, limits = Admission(CallLimits()), RouterLimits(rate=2.0, burst=5)
    passed = [_passes(admission, call(limits=limits, at=100 + number / 100)) for number in range(1000)]
    assert passed[:5] == [True] * 5
    assert sum(passed) == 5 + 19
    assert refused(admission, call(limits=limits, at=109.99), 429).retry_after == 1


def test_a_slow_rate_says_how_long_to_wait() -> None:
    admission, limits = Admission(CallLimits()), RouterLimits(rate=6 / 3600)
    enter(admission, call(limits=limits, at=5.0))
    assert refused(admission, call(limits=limits, at=5.0), 429).retry_after == 600
    assert refused(admission, call(limits=limits, at=305.0), 429).retry_after == 300


@pytest.mark.parametrize("workers", [1, 2, 4])
def test_workers_share_what_a_router_may(workers: int) -> None:
    limits = RouterLimits(rate=8.0, burst=8, concurrency=8)
    admissions = [Admission(CallLimits(), workers) for _ in range(workers)]
    for admission in admissions:
        while _passes(admission, call(limits=limits)):
            pass
    assert sum(admission.calls for admission in admissions) == 8


def test_a_reload_that_changes_nothing_gives_no_new_tokens() -> None:
    admission = Admission(CallLimits())
    enter(admission, *(call(limits=RouterLimits(rate=1.0, burst=3)) for _ in range(3)))
    refused(admission, call(limits=RouterLimits(rate=1.0, burst=3)), 429)
    enter(admission, call(limits=NO_LIMITS))
    refused(admission, call(limits=RouterLimits(rate=1.0, burst=3)), 429)


def test_a_call_leaves_once() -> None:
    admission = Admission(LIMITS)
    one, other = call(), call()
    enter(admission, one, other)
    for _ in range(3):
        admission.leave(one)
    assert admission.calls == 1
    admission.leave(call())
    assert admission.calls == 1


@given(
    st.lists(
        st.tuples(st.sampled_from(["/a", "/b", "/c"]), st.sampled_from(["t", "u"]), st.sampled_from("xyz"))
        | st.integers(0, 30),
        max_size=100,
    )
)
def test_what_has_left_leaves_nothing_behind(events: list[Any]) -> None:
    admission, here = Admission(LIMITS), []
    for event in events:
        if isinstance(event, int):
            if event < len(here):
                admission.leave(here.pop(event))
            continue
        made = call(*event)
        if _passes(admission, made):
            here.append(made)
        assert admission.calls == len(here) <= LIMITS.in_flight
    for each in here:
        admission.leave(each)
    for prefix in ("/a", "/b", "/c"):
        admission.forget(prefix)
    assert (admission.calls, admission._callers, admission._gates) == (0, {}, {})
    assert all(tenant.calls == 0 for tenant in admission._tenants.values())


def _passes(admission: Admission, wanted: Any) -> bool:
    try:
        admission.enter(wanted)
    except RpcError:
        return False
    return True
