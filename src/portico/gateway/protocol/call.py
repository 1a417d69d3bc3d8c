"""Call: one MCP message being answered, and what its answer needs to know."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any, Protocol

from portico.auth.principal import Principal
from portico.gateway.protocol.gate import Gate
from portico.gateway.protocol.params import NOTHING, UNSET
from portico.gateway.routing.endpoint import Endpoint
from portico.gateway.session.session import LEVELS, Session
from portico.wire import errors
from portico.wire.errors import RpcError
from portico.wire.jsonrpc import Id

ReadClient = Callable[[str, str], str | None]
"""Looks one value of the client's HTTP request up: ("headers" | "query" | "cookies", name)."""


class Tracer(Protocol):
    """What a trace is, only `observe` and `upstream` know."""

    def begin(self, call: Call) -> Any | None:
        """The trace of a call that is sampled, None for all the others."""
        ...


class Call:
    """Bound to one endpoint of one snapshot. `notify` sends a message ahead of the answer where the reply is a stream.

    Times are of the event loop's clock, in seconds.
    """

    __slots__ = (
        "address",
        "asked",
        "call_id",
        "cancelled",
        "deadline",
        "detail",
        "endpoint",
        "gate",
        "identifier",
        "method",
        "mirrors",
        "modern",
        "name",
        "notify",
        "params",
        "principal",
        "raw",
        "read_client",
        "relayed",
        "session",
        "started",
        "stop",
        "tail",
        "trace",
        "tracer",
        "version",
    )

    def __init__(
        self,
        endpoint: Endpoint,
        call_id: str,
        started: float,
        modern: bool,
        version: str,
        principal: Principal | None,
        address: str,
        read_client: ReadClient,
        session: Session | None = None,
    ) -> None:
        self.endpoint = endpoint
        self.call_id = call_id
        self.started = started
        self.deadline = started + endpoint.timeout
        self.modern = modern
        self.version = version
        self.principal = principal
        self.address = address
        self.read_client = read_client
        self.session = session
        self.identifier: Id | None = None
        self.method = ""
        self.name = ""
        self.params = NOTHING
        self.raw: bytes | None = None
        self.mirrors: tuple[str, ...] = ()
        self.gate: Gate | None = None
        self.asked = ""
        self.detail = ""
        self.tail = b""
        self.notify: Callable[[bytes], None] | None = None
        self.cancelled = False
        self.relayed = False  # Its progress is an MCP server's to tell.
        self.stop: Callable[[], object] | None = None
        self.tracer: Tracer | None = None
        self.trace: Any | None = None

    def bound(self, endpoint: Endpoint, now: float) -> Call:
        """The same call, bound to another endpoint and begun now."""
        found = copy.copy(self)
        found.endpoint, found.started, found.deadline = endpoint, now, now + endpoint.timeout
        return found

    def cancel(self) -> None:
        """The client wants no answer any more. `stop` makes what the call waits for raise CancelledError."""
        self.cancelled = True
        if self.stop is not None:
            self.stop()

    @property
    def progress_token(self) -> int | str | None:
        meta = self.params.meta
        return None if meta is UNSET or meta.progress_token is UNSET else meta.progress_token

    @property
    def log_level(self) -> str | None:
        """The least level of log messages that this call's client wants, or None for no messages at all.

        Modern clients say so in each request, legacy ones once for the session.
        """
        if self.session is not None:
            return self.session.level
        meta = self.params.meta
        if not self.modern or meta is UNSET or meta.log_level is UNSET:
            return None
        if meta.log_level not in LEVELS:
            raise RpcError(errors.INVALID_PARAMS, f"Unknown log level; known are {', '.join(LEVELS)}.")
        return meta.log_level

    def wants_log(self, level: str) -> bool:
        least = self.log_level
        return least is not None and LEVELS.index(least) <= LEVELS.index(level)

    @property
    def wants_messages(self) -> bool:
        """Whether something may be said before the answer, so that the reply should be a stream."""
        return self.progress_token is not None or self.wants_log("info")

    def read_mirrors(self) -> dict[str, str | None]:
        """The headers that mirror a modern body, as the client sent them."""
        return {name: self.read_client("headers", name) for name in self.mirrors}

    def require_modern(self) -> None:
        """Check the fields that every modern request carries (specification 2026-07-28, basic)."""
        meta = self.params.meta
        if meta is UNSET or meta.version is UNSET or meta.capabilities is UNSET:
            raise RpcError(
                errors.INVALID_PARAMS,
                "params._meta must carry io.modelcontextprotocol/protocolVersion and "
                "io.modelcontextprotocol/clientCapabilities.",
                status=400,
            )

    def require_version(self) -> None:
        offered = self.endpoint.offered
        if self.version not in offered:
            raise RpcError(
                errors.UNSUPPORTED_VERSION,
                f"Unsupported protocol version; this endpoint speaks {', '.join(offered)}.",
                {"supported": list(offered), "requested": self.version[:64]},
            )
