"""Running upstreams, leased by the generations that need them: one that is wanted again survives a reload.

Leasing starts nothing but what is to run from the start. What nobody leases any more ends when its work has ended.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterable, Iterator, Mapping

from portico.net.errors import NetError
from portico.net.http_client import HttpClient
from portico.upstream.mcp.http import HttpUpstream
from portico.upstream.mcp.sse import sse_upstream
from portico.upstream.mcp.stdio import stdio_upstream
from portico.upstream.mcp.upstream import Health, McpSpec, McpUpstream

MOST_WAITED = 30.0


class Lease(Mapping[McpSpec, McpUpstream]):
    """The upstreams of one generation, by spec. `named` finds one by tenant, document and name."""

    def __init__(self, pool: Pool, upstreams: dict[McpSpec, McpUpstream]) -> None:
        self._pool = pool
        self._upstreams = upstreams
        self._released = False

    def __getitem__(self, spec: McpSpec) -> McpUpstream:
        return self._upstreams[spec]

    def __iter__(self) -> Iterator[McpSpec]:
        return iter(self._upstreams)

    def __len__(self) -> int:
        return len(self._upstreams)

    def named(self, tenant: str, document: str, name: str) -> McpUpstream | None:
        for spec, upstream in self._upstreams.items():
            if (spec.tenant, spec.document, spec.name) == (tenant, document, name):
                return upstream
        return None

    def release(self) -> None:
        if not self._released:
            self._released = True
            self._pool.give_back(self._upstreams)


class Pool:
    """`streams` is a client for streams without end, lest they take the connections of calls. `environment` is what a
    process is given besides its own: PATH, HOME, LANG, TMPDIR."""

    def __init__(
        self,
        client: HttpClient,
        *,
        streams: HttpClient | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self._client = client
        self._streams = streams or client
        self._environment = dict(environment or {"PATH": os.defpath})
        self._running: dict[McpSpec, McpUpstream] = {}
        self._leases: dict[McpSpec, int] = {}
        self._starting: set[asyncio.Task[None]] = set()
        self._ending: dict[asyncio.Task[None], McpUpstream] = {}

    def lease(self, specs: Iterable[McpSpec]) -> Lease:
        """Raises Rejected for a spec that can never be called; then nothing is leased."""
        wanted = tuple(dict.fromkeys(specs))
        made = {spec: self._make(spec) for spec in wanted if spec not in self._running}
        self._running |= made
        for spec in wanted:
            self._leases[spec] = self._leases.get(spec, 0) + 1
        for spec, upstream in made.items():
            if spec.start == "atStart":
                self._start(upstream)
        return Lease(self, {spec: self._running[spec] for spec in wanted})

    def find(self, spec: McpSpec) -> McpUpstream | None:
        """The running upstream of a spec; None where its last lease has ended or it could not be made."""
        return self._running.get(spec)

    def give_back(self, specs: Iterable[McpSpec]) -> None:
        for spec in specs:
            self._leases[spec] -= 1
            if not self._leases[spec]:
                del self._leases[spec]
                self._end(self._running.pop(spec))

    def health(self) -> list[tuple[McpSpec, Health]]:
        return [(spec, upstream.health) for spec, upstream in self._running.items()]

    async def close(self) -> None:
        """End everything now; what is under way fails."""
        running = [*self._running.values(), *self._ending.values()]
        self._running.clear()
        self._leases.clear()
        for task in self._starting:
            task.cancel()
        await asyncio.gather(*(upstream.close() for upstream in running), *self._ending)

    def _make(self, spec: McpSpec) -> McpUpstream:
        if spec.kind == "http":
            return HttpUpstream(spec, self._client, self._streams)
        if spec.kind == "stdio":
            return stdio_upstream(spec, self._environment)
        return sse_upstream(spec, self._client, self._streams)

    def _start(self, upstream: McpUpstream) -> None:
        task = asyncio.get_running_loop().create_task(_warm(upstream))
        self._starting.add(task)
        task.add_done_callback(self._starting.discard)

    def _end(self, upstream: McpUpstream) -> None:
        task = asyncio.get_running_loop().create_task(upstream.close(MOST_WAITED))
        self._ending[task] = upstream
        task.add_done_callback(self._ending.pop)


async def _warm(upstream: McpUpstream) -> None:
    """In the background, whatever comes of it: its health tells."""
    try:
        await upstream.warm()
    except NetError:
        return
