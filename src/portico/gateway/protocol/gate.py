"""One router's calls: how many are under way, and a bucket of tokens for how fast they may come."""

from __future__ import annotations

import math

from portico.gateway.routing.endpoint import RouterLimits
from portico.wire import errors
from portico.wire.errors import RpcError


class Tenant:
    __slots__ = ("calls",)

    def __init__(self) -> None:
        self.calls = 0


class Gate:
    """One router's calls under way and its bucket of tokens. `limits` are those of the document, for all workers."""

    __slots__ = ("_burst", "_filled", "_most", "_rate", "_tokens", "calls", "is_limited", "limits", "tenant")

    def __init__(self, tenant: Tenant) -> None:
        self.tenant = tenant
        self.calls = 0
        self._tokens = math.inf
        self._filled = 0.0

    def set(self, limits: RouterLimits, workers: int) -> None:
        self.limits = limits
        self.is_limited = limits.rate is not None or limits.concurrency is not None
        self._rate = math.inf if limits.rate is None else limits.rate / workers
        burst = limits.burst if limits.burst is not None else math.inf if limits.rate is None else limits.rate
        self._burst = max(1.0, burst / workers)
        self._most = math.inf if limits.concurrency is None else math.ceil(limits.concurrency / workers)
        self._tokens = min(self._tokens, self._burst)

    def judge(self, prefix: str, now: float) -> None:
        """Takes a token, or RpcError."""
        if self.calls >= self._most:
            raise too_many(f"as many calls of {prefix} are under way as its limits.concurrency allows", 429)
        if self._rate == math.inf:
            return
        # Calls are judged in nearly, but not exactly, the order in which they began.
        passed = max(0.0, now - self._filled)
        self._tokens = tokens = min(self._burst, self._tokens + passed * self._rate)
        self._filled = max(now, self._filled)
        if tokens < 1.0:
            wait = math.ceil((1.0 - tokens) / self._rate)
            raise too_many(f"calls of {prefix} come faster than its limits.rate allows", 429, wait)
        self._tokens = tokens - 1.0


def too_many(why: str, status: int, wait: int = 1) -> RpcError:
    return RpcError(
        errors.OVERLOADED, f"Too many: {why}. Try again in {wait} s.", status=status, retry_after=max(1, wait)
    )
