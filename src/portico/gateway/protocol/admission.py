"""How many calls may be under way: in all, of one tenant, of one caller, and of one router, which may have a rate too.

Counters are plain ints of this worker, and nothing waits here: a call is admitted or refused. Whoever admits a call
must have it leave, however it ends.
"""

from __future__ import annotations

from dataclasses import dataclass

from portico.gateway.protocol.call import Call
from portico.gateway.protocol.gate import Gate, Tenant, too_many
from portico.gateway.routing.endpoint import Endpoint

# It stays open for as long as its client likes, and is bounded like every other stream.
_LISTEN = "subscriptions/listen"


@dataclass(frozen=True, slots=True)
class CallLimits:
    """Calls under way in this worker. A caller is a principal, or the address of a client without one."""

    in_flight: int = 2_000
    per_tenant: int = 1_000
    per_caller: int = 512


class Admission:
    """`workers` share the limits of a router, so each has its part of them."""

    def __init__(self, limits: CallLimits, workers: int = 1) -> None:
        self.calls = 0
        self._limits = limits
        self._workers = workers
        self._tenants: dict[str, Tenant] = {}
        self._gates: dict[str, Gate] = {}
        self._callers: dict[str, int] = {}

    def enter(self, call: Call) -> None:
        """Count the call until it leaves, or RpcError that says when to try again."""
        endpoint, limits = call.endpoint, self._limits
        gate = self._gates.get(endpoint.prefix)
        if gate is None or gate.limits is not endpoint.limits:
            gate = self._gate(endpoint)
        if gate.is_limited:
            gate.judge(endpoint.prefix, call.started)
        if call.method == _LISTEN:
            return
        tenant, callers, principal = gate.tenant, self._callers, call.principal
        caller = call.address if principal is None else principal.id
        mine = callers.get(caller, 0)
        if mine >= limits.per_caller:
            raise too_many(f"{mine} calls of this client are under way", 429)
        if tenant.calls >= limits.per_tenant:
            raise too_many(f"{tenant.calls} calls of this tenant are under way", 429)
        if self.calls >= limits.in_flight:
            raise too_many(f"{self.calls} calls are under way", 503)
        callers[caller] = mine + 1
        tenant.calls += 1
        gate.calls += 1
        self.calls += 1
        call.gate = gate

    def leave(self, call: Call) -> None:
        """The call is over. Only the first time counts."""
        gate = call.gate
        if gate is None:
            return
        call.gate = None
        self.calls -= 1
        gate.calls -= 1
        gate.tenant.calls -= 1
        caller = call.address if call.principal is None else call.principal.id
        left = self._callers[caller] - 1
        if left:
            self._callers[caller] = left
        else:
            del self._callers[caller]

    def forget(self, prefix: str) -> None:
        """An endpoint is gone."""
        gate = self._gates.get(prefix)
        if gate is not None and not gate.calls:
            del self._gates[prefix]

    def _gate(self, endpoint: Endpoint) -> Gate:
        tenant = self._tenants.setdefault(endpoint.tenant, Tenant())
        gate = self._gates.get(endpoint.prefix)
        if gate is None or gate.tenant is not tenant:
            gate = self._gates[endpoint.prefix] = Gate(tenant)
        gate.set(endpoint.limits, self._workers)
        return gate
