"""From the store to the live snapshot: one task that looks, loads, compiles aside and swaps.

All failure happens before the swap. A document with an error is quarantined: its last good version goes on serving, and
no other document notices.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from portico.config.check import Tenancy, check_together
from portico.config.document import Document
from portico.config.key import Key
from portico.config.problem import Problem, Severity, pointer, quoted
from portico.gateway.routing.endpoint import Endpoint
from portico.gateway.runtime.compile import Compiled
from portico.gateway.runtime.guards import with_keys
from portico.gateway.runtime.live import Live, differences, moved, vanished
from portico.gateway.runtime.prepare import Prepared, Preparing, giving_way
from portico.gateway.runtime.snapshot import DocumentState, Snapshot
from portico.net.errors import NetError
from portico.store.records import Contents
from portico.store.secrets import Secrets
from portico.store.store import Source, StoreError
from portico.upstream.mcp.upstream import McpSpec

log = logging.getLogger("portico.reload")

DEBOUNCE = 0.2
DEBOUNCE_MOST = 2.0


class SecretSource(Protocol):
    async def read(self) -> Secrets: ...
    async def revision(self) -> str: ...


class KeySource(Protocol):
    """The API keys of a store, by tenant: a key opens nothing of another tenant's, whatever its patterns are."""

    async def read(self) -> Mapping[str, Sequence[Key]]: ...

    async def revision(self) -> str:
        """Differs when a key was added, changed or revoked."""
        ...


class NoKeys:
    """A store that keeps no keys."""

    async def read(self) -> Mapping[str, Sequence[Key]]:
        return {}

    async def revision(self) -> str:
        return ""


class Lease(Protocol):
    """A hold on running upstreams; portico.upstream.pool gives one."""

    def release(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Leases:
    """Several holds as one."""

    held: tuple[Lease, ...]

    def release(self) -> None:
        for lease in self.held:
            lease.release()


@dataclass(frozen=True, slots=True)
class Report:
    """What a reload did: the revision now served, and what stands against documents."""

    revision: str
    endpoints: tuple[str, ...]
    problems: tuple[str, ...]
    changed: bool


class Reloader:
    """`announce` tells clients of an endpoint what changed; `forget` ends what hangs on an endpoint that is gone;
    `swapped` is called as soon as another snapshot is served; `kept` see Preparing, `used` see KeyRing."""

    def __init__(
        self,
        source: Source,
        secrets: SecretSource,
        live: Live,
        build: Callable[[Document, Mapping[str, str]], Compiled],
        announce: Callable[[str, frozenset[str], frozenset[str]], Iterator[None]] = lambda *_: iter(()),
        forget: Callable[[str], None] = lambda prefix: None,
        poll: float = 1.0,
        lease: Callable[[Collection[McpSpec]], Lease] | None = None,
        keys: KeySource | None = None,
        swapped: Callable[[], None] = lambda: None,
        kept: Callable[[], object] = lambda: None,
        used: dict[str, float] | None = None,
    ) -> None:
        self._source = source
        self._secrets = secrets
        self._live = live
        self._preparing = Preparing(build, kept)
        self._announce = announce
        self._forget = forget
        self._poll = poll
        self._lease = lease
        self._leased: Lease | None = None
        self._keys = keys or NoKeys()
        self._swapped = swapped
        self._used = {} if used is None else used
        self._prepared: dict[str, Prepared] = {}
        self._good: dict[str, Compiled] = {}
        self._seen: str | None = None
        self._lock = asyncio.Lock()
        self._told = asyncio.Event()
        self._complaint = ""
        self.reloads = 0
        self.failures = 0

    def notified(self, revision: str) -> None:
        """Look now rather than at the next poll, unless it is known already. An empty revision is always news."""
        if not _is_old(revision, (self._seen or "").partition("/")[0]):
            self._told.set()

    async def run(self) -> None:
        """Look every `poll` seconds and when notified, for ever."""
        while True:
            await self._wait()
            try:
                if await self._revision() != self._seen:
                    await self._settle()
                    await self.reload()
                self._complaint = ""
            except StoreError as error:
                self.failures += 1
                if self._complaint != str(error):
                    self._complaint = str(error)
                    log.error("%s What was loaded last goes on being served.", error)
            except Exception:
                self.failures += 1
                log.exception("The store could not be read; what was loaded last goes on serving.")

    async def _wait(self) -> None:
        """Until it is time to look. However many notifications there are, one look has DEBOUNCE from the one before."""
        least = asyncio.get_running_loop().time() + DEBOUNCE
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._told.wait(), self._poll)
            await asyncio.sleep(least - asyncio.get_running_loop().time())
        self._told.clear()

    async def reload(self) -> Report:
        """Load everything now. A call that begins after this returns is answered by what was loaded."""
        async with self._lock:
            # Revisions come first: what is read may be newer than they are, and is then read once more.
            others = await self._secrets.revision(), await self._keys.revision()
            contents = await self._source.read()
            revision = _joined(contents.revision, *others)
            secrets = await self._secrets.read()
            keys = await self._keys.read()
            prepared, snapshot, good = await asyncio.to_thread(self._make, revision, contents, secrets, keys)
            remains = [*self._good.values(), *self._prepared.values()]
            self._prepared, self._good = prepared, good
            self._seen = revision
            former, self._leased = self._leased, self._lease_for(snapshot)
            before = self._live.swap(snapshot)
            self._swapped()
            self.reloads += 1
            await self._tell(before, snapshot)
            if former is not None:
                former.release()
            report = _report(before, snapshot)
            remains[:0] = before.endpoints.values()
            del before
            await _let_go(remains)
            return report

    def _lease_for(self, snapshot: Snapshot) -> Lease | None:
        """The upstreams of this generation. Those that the one before has too go on running."""
        if self._lease is None:
            return None
        specs = [spec for endpoint in snapshot.endpoints.values() for spec in endpoint.specs]
        leases: list[Lease] = []
        for spec in dict.fromkeys(specs):
            try:
                leases.append(self._lease([spec]))
            except NetError as error:
                # Its endpoint says so to whoever calls; no other endpoint notices.
                log.error("%s: the server %s cannot be called: %s", spec.document, spec.name, error.message)
        return Leases(tuple(leases))

    async def _revision(self) -> str:
        return _joined(await self._source.revision(), await self._secrets.revision(), await self._keys.revision())

    async def _settle(self) -> None:
        """Wait until nothing has changed for a moment: an editor or an unpacked archive writes more than once."""
        loop = asyncio.get_running_loop()
        until = loop.time() + DEBOUNCE_MOST
        last = await self._revision()
        while loop.time() < until:
            await asyncio.sleep(DEBOUNCE)
            now = await self._revision()
            if now == last:
                return
            last = now

    def _make(
        self, revision: str, contents: Contents, secrets: Secrets, keys: Mapping[str, Sequence[Key]]
    ) -> tuple[dict[str, Prepared], Snapshot, dict[str, Compiled]]:
        """Everything that takes time; runs in a thread, beside the loop that serves."""
        with giving_way():
            prepared = self._preparing.prepare(contents.documents, secrets, self._prepared)
            return prepared, *self._assemble(revision, prepared, keys, _tenancy(contents))

    def _assemble(
        self, revision: str, prepared: dict[str, Prepared], keys: Mapping[str, Sequence[Key]], tenancy: Tenancy
    ) -> tuple[Snapshot, dict[str, Compiled]]:
        conflicts = check_together([entry.checked for entry in prepared.values() if entry.checked is not None], tenancy)
        wanted = {key: None if key in conflicts else entry.compiled for key, entry in prepared.items()}
        owners: dict[str, str] = {}
        endpoints: dict[str, Endpoint] = {}
        states: list[DocumentState] = []
        good: dict[str, Compiled] = {}
        # Last good versions come first: nobody's new document takes away what another one's clients are using.
        for key in sorted(prepared, key=lambda key: (wanted[key] is not None, key)):
            entry, problems = prepared[key], [*prepared[key].problems, *conflicts.get(key, ())]
            compiled = wanted[key] or self._good.get(key)
            taken = _taken(compiled, owners)
            if taken is not None and compiled is entry.compiled:
                problems.append(_held(entry, taken, owners[taken]))
                compiled = self._good.get(key)
                taken = _taken(compiled, owners)
            if compiled is not None and taken is None:
                for prefix, endpoint in compiled.endpoints.items():
                    endpoints[prefix] = with_keys(endpoint, keys, self._used)
                owners.update(dict.fromkeys(compiled.endpoints, key))
                good[key] = compiled
            else:
                compiled = None
            serving = "nothing" if compiled is None else "current" if compiled is entry.compiled else "last good"
            states.append(_state(key, entry, serving, tuple(problems), compiled))
        return Snapshot(revision, endpoints, sorted(states, key=lambda state: state.source)), good

    async def _tell(self, before: Snapshot, after: Snapshot) -> None:
        for prefix in (*vanished(before, after), *moved(before, after)):
            self._forget(prefix)
        for prefix, kinds, uris in differences(before, after):
            for _ in self._announce(prefix, kinds, uris):
                await asyncio.sleep(0)
        _log(before, after)


async def _let_go(remains: list[Any]) -> None:
    """The last holds on what is served no more, given up one by one: freed at once, it would take longer than a call
    may wait."""
    while remains:
        remains.pop()
        await asyncio.sleep(0)


def _joined(*revisions: str) -> str:
    return "/".join(revisions).rstrip("/")


def _tenancy(contents: Contents) -> Tenancy:
    return Tenancy(
        {text.key: text.tenant for text in contents.documents if text.tenant is not None},
        {tenant.name: tenant.prefix for tenant in contents.tenants if tenant.prefix},
    )


def _taken(compiled: Compiled | None, owners: Mapping[str, str]) -> str | None:
    """A prefix of these endpoints that another document is serving."""
    return next((prefix for prefix in compiled.endpoints if prefix in owners), None) if compiled is not None else None


def _held(entry: Prepared, prefix: str, owner: str) -> Problem:
    assert entry.checked is not None
    assert entry.document is not None
    routers = [router.prefix for router in entry.document.routers]
    path = ("routers", routers.index(prefix), "prefix")
    line, column = entry.checked.positions.find(path)
    return Problem(
        code="duplicate-prefix",
        severity=Severity.ERROR,
        message=f"the prefix {quoted(prefix)} is served by the last good version of {owner}",
        mend="Mend or remove that document, or choose another prefix",
        pointer=pointer(path),
        line=line,
        column=column,
        source=entry.checked.source,
    )


def _is_old(revision: str, seen: str) -> bool:
    """Revisions that are numbers grow; of others it is only known whether they are the same."""
    if revision.isdecimal() and seen.isdecimal():
        return int(revision) <= int(seen)
    return bool(revision) and revision == seen


def _state(
    key: str, entry: Prepared, serving: str, problems: tuple[Problem, ...], compiled: Compiled | None
) -> DocumentState:
    document = entry.document
    return DocumentState(
        source=key,
        name=document.name if document is not None else compiled.name if compiled is not None else "",
        tenant=document.tenant if document is not None else compiled.tenant if compiled is not None else "",
        serving=serving,
        problems=problems,
        prefixes=tuple(compiled.endpoints) if compiled is not None else (),
    )


def _report(before: Snapshot, after: Snapshot) -> Report:
    problems = tuple(str(problem) for state in after.documents for problem in state.problems)
    return Report(after.revision, tuple(sorted(after.endpoints)), problems, before.revision != after.revision)


def _log(before: Snapshot, after: Snapshot) -> None:
    known = {problem for state in before.documents for problem in state.problems}
    for state in after.documents:
        for problem in state.problems:
            if problem not in known:
                level = logging.ERROR if problem.severity is Severity.ERROR else logging.WARNING
                log.log(logging.INFO if problem.severity is Severity.NOTE else level, "%s", problem)
        if state.serving == "last good":
            log.warning("%s has errors: its last good version goes on serving.", state.source)
        elif state.serving == "nothing":
            log.error("%s is not served.", state.source)
    log.info("Serving %d endpoints of %d documents.", len(after.endpoints), len(after.documents))
