"""One gateway worker: builds everything that a process needs to serve, runs it, and ends it in order."""

from __future__ import annotations

import asyncio
import gc
import logging
import math
import os
import secrets
import signal
import socket
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from portico import __version__
from portico.apps import limits
from portico.apps.expulsion import expel
from portico.apps.gauges import register
from portico.apps.memory import Memory
from portico.apps.sockets import listen_unix
from portico.auth.jwks import KeySets
from portico.gateway.entry import Entry
from portico.gateway.ingress.admin import Admin
from portico.gateway.ingress.certificate import Certificate
from portico.gateway.ingress.heads import TrustedProxies
from portico.gateway.ingress.listener import Listener, Patience
from portico.gateway.ingress.peers import PeerCallers, PeerHandler, Peers
from portico.gateway.origin import HostRules
from portico.gateway.protocol.admission import Admission
from portico.gateway.protocol.aggregate.aggregates import Aggregates
from portico.gateway.protocol.aggregate.views import Views
from portico.gateway.protocol.dispatch import METHODS
from portico.gateway.protocol.progress import Progress
from portico.gateway.protocol.relay import Relay
from portico.gateway.protocol.subscriptions import Subscriptions
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
from portico.observe.access_log import AccessLog
from portico.observe.calls import CallObserver
from portico.observe.figures import Figures
from portico.observe.logs import Redactor, set_up
from portico.observe.tracing import Tracer
from portico.settings import Settings, process_environment
from portico.store.open import open_store
from portico.store.secrets import SecretFiles, Secrets
from portico.upstream.pool import Pool

log = logging.getLogger("portico")

SWEEP = 0.25
KEEP_ALIVE = 20.0
EXPEL = 1.0
RELOAD_PATIENCE = 20.0
ACCEPT_GRACE = 1.0
GOODBYE = 1.0
ADMIN_BODY = 64 * 1024
ADMIN_CONNECTIONS = 100
# A stream that is handed over keeps its connection, so there may be as many as there are streams. How long an answer
# may take is the owner's business: whoever hands a request over waits for as long as it works.
PEER_LIMITS = ClientLimits(connections=20_000, in_flight=40_000, first_byte=math.inf, breaker_failures=sys.maxsize)


@dataclass(frozen=True, slots=True)
class Place:
    """What a worker is given by whoever starts it: sockets, the key of session ids, and where its peers are.

    `number` is its place among them, and `restarts` how many workers were replaced before it began.
    """

    public: socket.socket
    admin: socket.socket | None
    key: bytes
    peers: Path | None
    number: int = 0
    restarts: int = 0


class Worker:
    """Built inside the running event loop."""

    def __init__(self, settings: Settings, environment_secrets: dict[str, str], place: Place) -> None:
        self.settings = settings
        self._place = place
        self._redactor = set_up(settings.log, settings.log_level)
        # The event loops of asyncio and uvloop count the same seconds; uvloop only rounds them to milliseconds.
        self._clock = time.monotonic
        self._memory = Memory()
        self.name = secrets.token_hex(6)
        self.live = Live()
        self.client = HttpClient(Egress.parse(settings.egress_policy), limits.client(settings))
        self._access_log = AccessLog(
            settings.log if settings.access_log else "off", sys.stdout.buffer, self._redactor.clean
        )
        self.figures = Figures()
        observer = CallObserver(self._access_log, self.figures, METHODS)
        self._tracer = self._trace()
        secret_files = SecretFiles(Path(settings.secrets) if settings.secrets else None, environment_secrets)
        self.sessions = Sessions(self.name, place.key, limits.sessions(settings), self._clock)
        self.streams = OpenStreams(
            settings.limit_streams, settings.limit_streams_address, settings.limit_streams_principal
        )
        self.subscriptions = Subscriptions(self.sessions)
        self.progress = Progress(self._clock)
        # Among peers on one machine nothing leaves it, so the egress policy has no say there.
        self._peer_client = HttpClient(Egress.parse("any"), PEER_LIMITS)
        self.peers = Peers(self.name, place.peers, self._peer_client, self._clock)
        # What has no end must not take the connections of calls.
        self._stream_client = HttpClient(Egress.parse(settings.egress_policy), limits.client(settings))
        self.pool = Pool(self.client, streams=self._stream_client, environment=process_environment())
        self._key_sets = KeySets(self.client)
        self.reloader = Reloader(
            open_store(settings.store),
            TaughtSecrets(secret_files, self._redactor),
            self.live,
            compiler(self.client, settings.starts_processes, self._key_sets),
            self.subscriptions.announce,
            self._forget,
            settings.poll,
            self.pool.lease,
            swapped=self._expel,
        )
        relay = Relay(self.pool.find)
        self.views = Views(relay, self.pool.find, self._lists_changed, self._clock)
        shared = Conversations(
            self.sessions,
            self.subscriptions,
            self.streams,
            self.progress,
            self.peers,
            observer,
            self._clock,
            call_ids(self.name),
            self._tracer,
            Aggregates(relay, self.views, self.subscriptions, self.sessions),
            relay,
            admission=Admission(limits.calls(settings), settings.workers),
        )
        self._shared = shared
        self.entry = Entry(
            self.live,
            HostRules(settings.host_names),
            StreamableHttp(shared),
            LegacySse(shared, settings.public_path),
            observer,
            shared.next_id,
            settings.public_url.rstrip("/") or None,
            Shortcut(shared),
        )
        self._certificate = load_certificate(settings)
        tls = self._certificate.context if self._certificate is not None else None
        self.public = Listener(
            self.entry,
            TrustedProxies(settings.trusted_proxy),
            settings.limit_body,
            limits.patience(settings),
            tls,
            heads=limits.heads(settings),
            most=limits.connections(settings),
        )
        self.figures.read("portico_lost_log_lines_total", lambda: self._access_log.lost)
        register(self, place.number, place.restarts)

    async def run(self, started: Callable[[], None] = lambda: None) -> None:
        """Serve until SIGTERM or SIGINT, then drain."""
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop.set)
        loop.add_signal_handler(signal.SIGHUP, lambda: self._spawn(self.reload()))
        await self.serve(stop, started)

    async def serve(self, stop: asyncio.Event, started: Callable[[], None] = lambda: None) -> None:
        """Serve until `stop` is set, then drain. It leaves the process's signals alone."""
        loop = asyncio.get_running_loop()
        await self.reload()
        # What was loaded stays: the collector need not look at it again, and what calls leave behind has no cycles.
        gc.collect()
        gc.freeze()
        gc.set_threshold(20_000, 20, 50)
        listeners = await self._listen()
        tasks = [loop.create_task(self._sweep()), loop.create_task(self.reloader.run())]
        if self._certificate is not None:
            tasks.append(loop.create_task(self._certificate.watch(self.settings.poll)))
        started()
        await asyncio.wait([loop.create_task(stop.wait()), *tasks], return_when=asyncio.FIRST_COMPLETED)
        await self._drain(listeners)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _listen(self) -> list[Listener]:
        """Open the public listener and, where they are wanted, those for the operator and for peers."""
        listeners = [self.public]
        sockets = [self._place.public]
        if self._place.admin is not None:
            admin = Admin(self.peers, self._answer, self.settings.admin_token or None)
            listeners.append(Listener(admin, TrustedProxies(()), ADMIN_BODY, Patience(), most=ADMIN_CONNECTIONS))
            sockets.append(self._place.admin)
        if self._place.peers is not None:
            handler = PeerHandler(self.entry.handle, {name: self._question(name) for name in self._questions()})
            listeners.append(
                Listener(
                    handler,
                    PeerCallers(),
                    self.settings.limit_body,
                    Patience(),
                    heads=limits.peer_heads(self.settings),
                    # Who a peer speaks for stands in its headers, and comes off them.
                    known_heads=0,
                )
            )
            sockets.append(listen_unix(self._place.peers / f"{self.name}.sock"))
        for listener, opened in zip(listeners, sockets, strict=True):
            await listener.begin(opened)
        return listeners

    async def reload(self) -> dict[str, Any]:
        """Load the store now and report; a store that cannot be read is a report too. So is a certificate."""
        certificate = await self._certificate.refresh() if self._certificate is not None else None
        against = [] if certificate is None else [certificate]
        try:
            report = await asyncio.wait_for(self.reloader.reload(), RELOAD_PATIENCE)
        except Exception as error:
            log.exception("The reload failed; what was loaded last goes on serving.")
            return {
                "revision": self.live.current.revision,
                "endpoints": [],
                "problems": [_words(error), *against],
                "failed": True,
            }
        return {**asdict(report), "problems": [*report.problems, *against], "failed": False}

    async def _drain(self, listeners: list[Listener]) -> None:
        """Say so, wait for what works, end what idles, then leave. All of it within the time to drain."""
        self.entry.draining = True
        until = self._clock() + self.settings.drain
        log.info("Shutting down: %d requests under way, %d streams open.", self.public.in_flight, len(self.streams))
        self.subscriptions.end()
        await self._calls_finish(until)
        self.subscriptions.end()
        self.streams.close()
        left = max(0.0, until - self._clock())
        goodbye = {self.public: GOODBYE}
        await asyncio.gather(*(listener.end(left, goodbye.get(listener, 0.0)) for listener in listeners))
        self._key_sets.close()
        # Not earlier: to end a session is to cancel the calls in it.
        self.sessions.close()
        self.views.close()
        await self.pool.close()
        await self._stream_client.aclose()
        await self.client.aclose()
        await self._peer_client.aclose()
        self._access_log.flush()
        if self._tracer is not None:
            await asyncio.to_thread(self._tracer.close)
        if self._place.peers is not None:
            (self._place.peers / f"{self.name}.sock").unlink(missing_ok=True)

    async def _calls_finish(self, until: float) -> None:
        """While calls are under way, connections are accepted a little longer: whoever balances the load has to ask to
        learn that we are not ready. Calls whose answers are streams are not seen by a listener and waited for here."""
        if self._shared.tasks:
            await asyncio.wait(set(self._shared.tasks), timeout=until - self._clock())
        for _ in range(20):
            if not self.public.in_flight or self._clock() >= until:
                return
            await asyncio.sleep(ACCEPT_GRACE / 20)

    def _trace(self) -> Tracer | None:
        settings = self.settings
        if not settings.otlp_endpoint:
            return None
        clean = self._redactor.clean
        return Tracer(settings.otlp_endpoint, settings.trace_ratio, __version__, self.name, METHODS, clean)

    def _forget(self, prefix: str) -> None:
        """An endpoint is gone: its subscriptions end with a result and its sessions are no more."""
        self.subscriptions.end(prefix)
        self._shared.admission.forget(prefix)
        for session in self.sessions:
            if session.prefix == prefix:
                self.sessions.end(session)

    def _expel(self) -> None:
        expel(self.live.current.endpoints, self.sessions, self.streams)

    def _lists_changed(self, prefix: str, kinds: frozenset[str]) -> None:
        """Lists of included servers are not what they were."""

        async def tell() -> None:
            for _ in self.subscriptions.announce(prefix, kinds, frozenset()):
                await asyncio.sleep(0)

        self._spawn(tell())

    async def _sweep(self) -> None:
        """The one clock of the worker: progress, log lines, keep-alive and expiry."""
        ticks = 0
        while True:
            await asyncio.sleep(SWEEP)
            ticks += 1
            self.progress.sweep()
            self._access_log.flush()
            if ticks % int(1 / SWEEP) == 0:
                self.views.sweep()
            if ticks % int(KEEP_ALIVE / SWEEP) == 0:
                self.streams.keep_alive()
            if ticks % int(EXPEL / SWEEP) == 0:
                self._expel()
            if ticks % int(10 / SWEEP) == 0:
                self.sessions.sweep()
                await asyncio.to_thread(self._memory.give_back)

    def _questions(self) -> tuple[str, ...]:
        return ("figures", "status", "reload")

    def _question(self, name: str) -> Callable[[], Any]:
        return lambda: self._answer(name)

    async def _answer(self, question: str) -> Any:
        if question == "figures":
            return self.figures.snapshot()
        if question == "reload":
            return await self.reload()
        return self._status()

    def _status(self) -> dict[str, Any]:
        snapshot = self.live.current
        documents = [
            {**asdict(state), "problems": [str(problem) for problem in state.problems]} for state in snapshot.documents
        ]
        return {
            "worker": self.name,
            "pid": os.getpid(),
            "revision": snapshot.revision,
            "reloads": self.reloader.reloads,
            "documents": documents,
            "endpoints": sorted(snapshot.endpoints),
            "upstreams": [
                {"tenant": spec.tenant, "document": spec.document, "name": spec.name, **asdict(health)}
                for spec, health in self.pool.health()
            ],
            "aggregates": self.views.report(),
            "sessions": len(self.sessions),
            "streams": len(self.streams),
            "calls": self._shared.admission.calls,
            "connections": len(self.public),
            "tasks": len(asyncio.all_tasks()),
            "services": {origin.name: asdict(figures) for origin, figures in self.client.figures()},
        }

    def _spawn(self, work: Any) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._shared.tasks.add(task)
        task.add_done_callback(self._shared.tasks.discard)


class TaughtSecrets:
    """The secrets; whenever they are read, what redacts the log learns them first."""

    def __init__(self, source: SecretFiles, redactor: Redactor) -> None:
        self._source = source
        self._redactor = redactor

    async def read(self) -> Secrets:
        secrets = await self._source.read()
        self._redactor.learn(value for mine in secrets.values() for value in mine.values())
        return secrets

    async def revision(self) -> str:
        return await self._source.revision()


def load_certificate(settings: Settings) -> Certificate | None:
    """What the public listener shows, where it speaks TLS. CertificateError when the files do not work."""
    if not settings.tls_cert:
        return None
    return Certificate(Path(settings.tls_cert), Path(settings.tls_key))


def _words(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return f"The store and its documents could not be loaded within {RELOAD_PATIENCE:g} s."
    return str(error)


def call_ids(worker: str) -> Callable[[], str]:
    """Ids that are unique among the workers and cost next to nothing: the worker's name and a running number."""
    count = 0

    def next_id() -> str:
        nonlocal count
        count += 1
        return f"{worker}-{count:x}"

    return next_id
