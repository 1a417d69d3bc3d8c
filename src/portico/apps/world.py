"""Everything that requests run in, built once for each worker."""

from __future__ import annotations

import asyncio
import gc
import math
import secrets
import socket
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from portico import __version__
from portico.apps import limits
from portico.apps.expulsion import expel
from portico.apps.source import StoredKeys, StoredSecrets, place_of
from portico.apps.usage import Usage
from portico.auth.jwks import KeySets
from portico.gateway.caller import still_seen
from portico.gateway.entry import Entry
from portico.gateway.ingress.peers import Peers
from portico.gateway.origin import HostRules
from portico.gateway.protocol.admission import Admission
from portico.gateway.protocol.aggregate.aggregates import Aggregates
from portico.gateway.protocol.aggregate.attending import Attendances
from portico.gateway.protocol.aggregate.views import Views
from portico.gateway.protocol.bridge.bridge import Bridge
from portico.gateway.protocol.bridge.seal import Seal
from portico.gateway.protocol.call import Call
from portico.gateway.protocol.dispatch import METHODS
from portico.gateway.protocol.progress import Progress
from portico.gateway.protocol.relay import Relay
from portico.gateway.protocol.subscriptions import Subscriptions
from portico.gateway.routing.endpoint import Endpoint
from portico.gateway.runtime.compile import compiler
from portico.gateway.runtime.live import Live
from portico.gateway.runtime.reload import Reloader
from portico.gateway.session.memory import Sessions
from portico.gateway.transport.conversation import Conversations
from portico.gateway.transport.event_stream import OpenStreams
from portico.gateway.transport.legacy_sse import LegacySse
from portico.gateway.transport.shortcut import Shortcut
from portico.gateway.transport.streamable import StreamableHttp
from portico.net.egress import Egress
from portico.net.http_client import HttpClient
from portico.net.limits import ClientLimits
from portico.notify.fanout import Receivers
from portico.notify.local import Local
from portico.notify.open import open_receivers
from portico.observe.access_log import AccessLog
from portico.observe.calls import CallObserver
from portico.observe.figures import Figures
from portico.observe.logs import Redactor, set_up
from portico.observe.tracing import Tracer
from portico.settings import Settings, process_environment
from portico.store.secrets import SecretFiles, Secrets
from portico.upstream.pool import Pool

# A stream that is handed over keeps its connection, so there may be as many as there are streams. How long an answer
# may take is the owner's business: whoever hands a request over waits for as long as it works.
PEER_LIMITS = ClientLimits(connections=20_000, in_flight=40_000, first_byte=math.inf, breaker_failures=sys.maxsize)
PEER_PATIENCE = 2.0


@dataclass(frozen=True, slots=True)
class Place:
    """What a worker is given by whoever starts it: sockets, the key of session ids, and where its peers are.

    `number` is its place among them, and `restarts` how many workers were replaced before it began. `replica` is what
    all of them are called together, and `orphaned` says whether whoever started them is gone.
    """

    public: socket.socket
    admin: socket.socket | None
    key: bytes
    peers: Path | None
    number: int = 0
    restarts: int = 0
    replica: str = ""
    orphaned: Callable[[], bool] = lambda: False


class World:
    """Built inside the running event loop; worker.py runs it."""

    def __init__(self, settings: Settings, environment_secrets: dict[str, str], place: Place) -> None:
        self.settings = settings
        self.place = place
        self.redactor = set_up(settings.log, settings.log_level)
        # The event loops of asyncio and uvloop count the same seconds; uvloop only rounds them to milliseconds.
        self.clock = time.monotonic
        self.name = secrets.token_hex(6)
        self.live = Live()
        self.client = HttpClient(Egress.parse(settings.egress_policy), limits.client(settings))
        self.access_log = AccessLog(
            settings.log if settings.access_log else "off", sys.stdout.buffer, self.redactor.clean
        )
        self.figures = Figures()
        observer = CallObserver(self.access_log, self.figures, METHODS)
        self.tracer = _tracer(settings, self.redactor, self.name)
        secret_files = SecretFiles(Path(settings.secrets) if settings.secrets else None, environment_secrets)
        self.sessions = Sessions(self.name, place.key, limits.sessions(settings), self.clock)
        self.streams = OpenStreams(
            settings.limit_streams, settings.limit_streams_address, settings.limit_streams_principal
        )
        self.subscriptions = Subscriptions(self.sessions)
        self.progress = Progress(self.clock)
        # Among peers on one machine nothing leaves it, so the egress policy has no say there.
        self.peer_client = HttpClient(Egress.parse("any"), PEER_LIMITS)
        self.peers = Peers(self.name, place.peers, self.peer_client, self.clock)
        # What has no end must not take the connections of calls.
        self.stream_client = HttpClient(Egress.parse(settings.egress_policy), limits.client(settings))
        self.pool = Pool(self.client, streams=self.stream_client, environment=process_environment())
        self.key_sets = KeySets(self.client)
        self.when_swapped: list[Callable[[], None]] = []
        stored = place_of(settings, self._store_is)
        self.source, self.replicas = stored.source, stored.replicas
        used: dict[str, float] = {}
        self.usage = Usage(used, stored.tell_use)
        self.reloader = Reloader(
            self.source,
            TaughtSecrets(
                StoredSecrets(secret_files, self.source, settings.key_path, self._secrets_are), self.redactor
            ),
            self.live,
            compiler(self.client, settings.starts_processes, self.key_sets),
            self.subscriptions.announce,
            self.forget,
            settings.patience,
            self.pool.lease,
            StoredKeys(self.source),
            swapped=self.swapped,
            kept=gc.freeze,
            used=used,
        )
        self.local = Local()
        self.receivers = Receivers(open_receivers(settings.notify, self.local), self.reloader.notified)
        seal = Seal(place.key, self.name, settings.limit_parked_time)
        alone = settings.workers == 1
        self.bridge = Bridge(self.pool.find, seal, alone, self.clock, limits.parking(settings))
        relay = Relay(self.pool.find, self.bridge)
        self.views = Views(relay, self.pool.find, self.lists_changed, self.served, self.clock)
        self.attendances = Attendances(relay, self.views, self.subscriptions, self.served, self.clock)
        self.conversations = Conversations(
            self.sessions,
            self.subscriptions,
            self.streams,
            self.progress,
            self.peers,
            observer,
            self.clock,
            call_ids(self.name),
            self.tracer,
            Aggregates(relay, self.views, self.sessions),
            self.attendances,
            relay,
            admission=Admission(limits.calls(settings), settings.workers),
        )
        self.entry = Entry(
            self.live,
            HostRules(settings.host_names),
            StreamableHttp(self.conversations),
            LegacySse(self.conversations, settings.public_path),
            observer,
            self.conversations.next_id,
            settings.public_url.rstrip("/") or None,
            Shortcut(self.conversations),
        )
        self.figures.read("portico_lost_log_lines_total", lambda: self.access_log.lost)

    def _store_is(self, trouble: str) -> None:
        self.live.trouble = trouble

    def _secrets_are(self, trouble: str) -> None:
        self.live.unsealed = trouble

    def forget(self, prefix: str) -> None:
        """An endpoint is gone: its subscriptions end with a result and its sessions are no more."""
        self.subscriptions.end(prefix)
        self.conversations.admission.forget(prefix)
        for session in self.sessions:
            if session.prefix == prefix:
                self.sessions.end(session)

    def swapped(self) -> None:
        """Another snapshot is served."""
        self.expel()
        for action in self.when_swapped:
            action()
        self.spawn(_by_and_by(self.attendances.renew()))

    def served(self, call: Call) -> Endpoint | None:
        """The endpoint as the client of a call sees it now, None when it is gone or not for this client any more."""
        endpoint = self.live.current.endpoints.get(call.endpoint.prefix)
        return endpoint if endpoint is None else still_seen(call.principal, endpoint)

    def expel(self) -> None:
        expel(self.live.current.endpoints, self.sessions, self.streams)

    def lists_changed(self, prefix: str, kinds: frozenset[str]) -> None:
        """Lists of included servers are not what they were. Each worker has servers of its own, and a client that
        listens at this one may ask another for the lists: so all tell their clients, and ask their servers anew."""
        if self.place.peers is None:
            self.tell_changed(prefix, kinds)
        else:
            about = " ".join((prefix, *sorted(kinds)))
            self.spawn(self.peers.ask_all("changed", about, PEER_PATIENCE))

    def heard_changed(self, about: str) -> None:
        """A worker says so, of a prefix and kinds of list."""
        prefix, *kinds = about.split(" ")
        self.views.doubt(prefix)
        self.tell_changed(prefix, frozenset(kinds))

    def tell_changed(self, prefix: str, kinds: frozenset[str]) -> None:
        self.spawn(_by_and_by(self.subscriptions.announce(prefix, kinds, frozenset())))

    def spawn(self, work: Any) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self.conversations.tasks.add(task)
        task.add_done_callback(self.conversations.tasks.discard)

    async def close(self) -> None:
        """When nobody is to be answered any more."""
        self.key_sets.close()
        # Not earlier: to end a session is to cancel the calls in it.
        self.sessions.close()
        self.views.close()
        self.bridge.parking.close()
        await self.pool.close()
        await self.source.close()
        await self.stream_client.aclose()
        await self.client.aclose()
        await self.peer_client.aclose()
        self.access_log.flush()
        if self.tracer is not None:
            await asyncio.to_thread(self.tracer.close)


class TaughtSecrets:
    """The secrets; whenever they are read, what redacts the log learns them first."""

    def __init__(self, source: StoredSecrets, redactor: Redactor) -> None:
        self._source = source
        self._redactor = redactor

    async def read(self) -> Secrets:
        secrets = await self._source.read()
        self._redactor.learn(value for mine in secrets.values() for value in mine.values())
        return secrets

    async def revision(self) -> str:
        return await self._source.revision()


async def _by_and_by(steps: Iterator[None]) -> None:
    """So that no call waits for all of it."""
    for _ in steps:
        await asyncio.sleep(0)


def _tracer(settings: Settings, redactor: Redactor, name: str) -> Tracer | None:
    if not settings.otlp_endpoint:
        return None
    return Tracer(settings.otlp_endpoint, settings.trace_ratio, __version__, name, METHODS, redactor.clean)


def call_ids(worker: str) -> Callable[[], str]:
    """Ids that are unique among the workers and cost next to nothing: the worker's name and a running number."""
    count = 0

    def next_id() -> str:
        nonlocal count
        count += 1
        return f"{worker}-{count:x}"

    return next_id
