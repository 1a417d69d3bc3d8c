"""An MCP server that we call: what is known of it, what can be asked of it, and what it may say by itself.

The gateway relays raw JSON: `params`, `result` and `error` cross this interface as the bytes that a peer wrote. How a
server is reached is a matter of mcp_http.py, mcp_sse.py and mcp_stdio.py; they share nothing but this page.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal, Protocol

import msgspec

from portico.wire.jsonrpc import Id

Era = Literal["legacy", "modern"]
State = Literal["onDemand", "starting", "serving", "down"]


@dataclass(frozen=True, slots=True)
class McpSpec:
    """One entry of `mcpServers`, with its secrets filled in. Equality decides whether a running one is kept."""

    tenant: str
    document: str
    name: str
    kind: Literal["stdio", "sse", "http"]
    url: str | None = None
    headers: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    command: str | None = None
    args: tuple[str, ...] = field(default=(), repr=False)
    env: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    cwd: str | None = None
    protocol: Literal["auto", "legacy", "modern"] = "auto"
    session: Literal["shared", "perClient"] = "shared"
    forward_headers: tuple[str, ...] = ()
    proxy: str | None = field(default=None, repr=False)
    timeout: float = 60.0
    start: Literal["onDemand", "atStart"] = "onDemand"
    start_timeout: float = 120.0
    idle_timeout: float = 600.0
    _hash: int = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        # Of what hardly ever is the same in two.
        object.__setattr__(self, "_hash", hash((self.tenant, self.document, self.name)))

    def __hash__(self) -> int:
        # A call looks its upstream up by it, so it is computed once.
        return self._hash


@dataclass(frozen=True, slots=True)
class Health:
    """`reason` says why an upstream is down or what it is doing while it starts; `since` is monotonic time."""

    state: State
    reason: str
    since: float


@dataclass(slots=True, weakref_slot=True)
class Heard:
    """Something that the upstream says: a notification, or a request of its own when `answer` is there.

    `answer` takes one encoded member, `"result":…` or `"error":…`, and may be called once. Where several listen, the
    first that can ask its client sets `claimed`. Who asks a client may set `withdrawn`, which is called when the
    upstream does not want the answer any more.
    """

    method: str
    params: bytes | None
    answer: Callable[[bytes], None] | None = None
    claimed: bool = False
    withdrawn: Callable[[], None] | None = None


Hear = Callable[[Heard], None]


class Outcome(msgspec.Struct, frozen=True):
    """The end of a request: one encoded member, `"result":…` or `"error":…`, its value as the upstream wrote it."""

    member: bytes
    is_error: bool


@dataclass(frozen=True, slots=True)
class Hello:
    """Who asks, for the handshake of a legacy conversation. Conversations are shared by equal hellos.

    `owner` is a client session's id where the document says `session: perClient`, else None. `capabilities` and
    `client` are encoded JSON objects.
    """

    version: str
    capabilities: bytes
    client: bytes
    owner: str | None = None


class Conversation(Protocol):
    """A legacy session with an upstream, or the stateless face of a modern one."""

    era: Era

    @property
    def greeting(self) -> bytes:
        """The result of `initialize` or `server/discover`, as the upstream wrote it."""
        ...

    async def request(
        self,
        method: str,
        params: bytes | None,
        *,
        identifier: Id,
        deadline: float,
        hear: Hear | None = None,
        headers: Mapping[str, str] = {},
    ) -> Outcome:
        """Ask, and wait. `hear` is told what the upstream says about this request before its end.

        `identifier` is the client's id of the request; where connections are shared, it and progress tokens and
        subscription ids are rewritten on the way out and back. `headers` go with it where the transport has headers.
        Cancelling the awaiting coroutine cancels the request upstream. Raises a portico.net.errors.NetError whose
        message names the upstream and the cause.
        """
        ...

    async def notify(self, method: str, params: bytes | None) -> None:
        """Tell it something. `notifications/cancelled` is not passed on: its id is the client's, and could be the
        number of somebody else's request."""
        ...

    def listen(self, hear: Hear) -> Callable[[], None]:
        """Be told what concerns no request: list changes, log messages, requests. Returns what ends it."""
        ...

    def release(self) -> None:
        """The holder needs it no more; the last release ends an unshared conversation at once, a shared one when it
        has idled."""
        ...


class McpUpstream(Protocol):
    """One server, started, probed, reconnected and ended by itself."""

    spec: McpSpec

    @property
    def health(self) -> Health: ...

    async def eras(self) -> frozenset[Era]:
        """What it speaks, probed once per start and cached. Raises NetError when it cannot be reached."""
        ...

    async def speaks(self, era: Era, hello: Hello | None = None) -> bool:
        """Whether it speaks one era; cheaper than `eras`. With the hello that `legacy` is about to be given, the
        handshake that tells is the one that is used."""
        ...

    async def legacy(self, hello: Hello) -> Conversation: ...

    async def modern(self) -> Conversation: ...

    @property
    def is_legacy(self) -> bool:
        """Whether it is known not to speak the modern era."""
        ...

    @property
    def ready(self) -> Conversation | None:
        """What `modern` would give, where the upstream is known to speak that era and nothing has to be asked first."""
        ...

    async def warm(self) -> None:
        """Start it, though nobody asks for anything yet. Raises NetError where that fails."""
        ...

    async def close(self, patience: float = 0.0) -> None:
        """Take no more requests, wait so many seconds for those under way, and end."""
        ...
