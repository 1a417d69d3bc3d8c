"""One gateway worker: listens, serves, reloads and ends in order what world.py built."""

from __future__ import annotations

import asyncio
import gc
import logging
import signal
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from portico.apps import limits
from portico.apps.gauges import register
from portico.apps.inside import inside
from portico.apps.memory import Memory
from portico.apps.replica.part import Minute, part
from portico.apps.replica.replica import reporter_of
from portico.apps.sockets import listen_unix
from portico.apps.status import status
from portico.apps.world import Place, World
from portico.gateway.ingress.admin import Admin
from portico.gateway.ingress.certificate import Certificate
from portico.gateway.ingress.heads import TrustedProxies
from portico.gateway.ingress.listener import Listener, Patience
from portico.gateway.ingress.peers import PeerCallers, PeerHandler
from portico.settings import Settings
from portico.store.store import StoreError

log = logging.getLogger("portico")

SWEEP = 0.25
KEEP_ALIVE = 20.0
EXPEL = 1.0
RELOAD_PATIENCE = 20.0
ACCEPT_GRACE = 1.0
GOODBYE = 1.0
ADMIN_BODY = 64 * 1024
ADMIN_CONNECTIONS = 100


class Worker:
    """Built inside the running event loop."""

    def __init__(self, settings: Settings, environment_secrets: dict[str, str], place: Place) -> None:
        self.settings = settings
        self._place = place
        self.world = World(settings, environment_secrets, place)
        self._clock = self.world.clock
        self._memory = Memory()
        self._certificate = load_certificate(settings)
        tls = self._certificate.context if self._certificate is not None else None
        self.public = Listener(
            self.world.entry,
            TrustedProxies(settings.trusted_proxy),
            settings.limit_body,
            limits.patience(settings),
            tls,
            heads=limits.heads(settings),
            most=limits.connections(settings),
        )
        self.world.when_swapped.append(self.public.known.forget_lanes)
        register(self.world, place.number, place.restarts)
        self.world.figures.read("portico_in_flight", lambda: self.public.in_flight)
        self._minute = Minute(self.world.figures, self._clock)
        self._reporter = reporter_of(self.world, self._minute)

    async def run(self, started: Callable[[], None] = lambda: None) -> None:
        """Serve until SIGTERM or SIGINT, then drain."""
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop.set)
        hangup = asyncio.Event()
        loop.add_signal_handler(signal.SIGHUP, hangup.set)
        heeding = loop.create_task(self._heed(hangup))
        await self.serve(stop, started)
        heeding.cancel()

    async def _heed(self, hangup: asyncio.Event) -> None:
        """Reload for every SIGHUP. Those that come during a reload are together one more."""
        while True:
            await hangup.wait()
            hangup.clear()
            await self.reload()

    async def serve(self, stop: asyncio.Event, started: Callable[[], None] = lambda: None) -> None:
        """Serve until `stop` is set, then drain. It leaves the process's signals alone."""
        loop = asyncio.get_running_loop()
        await self.reload()
        # What was loaded stays: the collector need not look at it again, and what calls leave behind has no cycles.
        gc.collect()
        gc.freeze()
        gc.set_threshold(20_000, 20, 50)
        listeners = await self._listen()
        tasks = [
            loop.create_task(work)
            for work in (self._sweep(), self.world.reloader.run(), self.world.receivers.run(), self.world.usage.run())
        ]
        if self._certificate is not None:
            tasks.append(loop.create_task(self._certificate.watch(self.settings.patience)))
        if self._reporter is not None:
            tasks.append(loop.create_task(self._reporter.run()))
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
            admin = Admin(self.world.peers, self._answer, self.settings.admin_token or None)
            listeners.append(Listener(admin, TrustedProxies(()), ADMIN_BODY, Patience(), most=ADMIN_CONNECTIONS))
            sockets.append(self._place.admin)
        if self._place.peers is not None:
            handler = PeerHandler(self.world.entry.handle, {name: self._question(name) for name in self._questions()})
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
            sockets.append(listen_unix(self._place.peers / f"{self.world.name}.sock"))
        for listener, opened in zip(listeners, sockets, strict=True):
            await listener.begin(opened)
        return listeners

    async def reload(self) -> dict[str, Any]:
        """Load the store now and report; a store that cannot be read is a report too. So is a certificate."""
        certificate = await self._certificate.refresh() if self._certificate is not None else None
        against = [] if certificate is None else [certificate]
        try:
            report = await asyncio.wait_for(self.world.reloader.reload(), RELOAD_PATIENCE)
        except StoreError as error:
            log.error("%s What was loaded last goes on being served.", error)
            return self._failed([str(error), *against])
        except Exception as error:
            log.exception("The reload failed; what was loaded last goes on serving.")
            return self._failed([_words(error), *against])
        return {**asdict(report), "problems": [*report.problems, *against], "failed": False}

    def _failed(self, problems: list[str]) -> dict[str, Any]:
        return {"revision": self.world.live.current.revision, "endpoints": [], "problems": problems, "failed": True}

    async def _drain(self, listeners: list[Listener]) -> None:
        """Say so, wait for what works, end what idles, then leave. All of it within the time to drain."""
        self.world.entry.draining = True
        until = self._clock() + self.settings.drain
        log.info(
            "Shutting down: %d requests under way, %d streams open.", self.public.in_flight, len(self.world.streams)
        )
        self.world.subscriptions.end()
        self.world.bridge.end()
        await self._calls_finish(until)
        self.world.subscriptions.end()
        self.world.streams.close()
        left = max(0.0, until - self._clock())
        goodbye = {self.public: GOODBYE}
        await asyncio.gather(*(listener.end(left, goodbye.get(listener, 0.0)) for listener in listeners))
        if self._reporter is not None:
            await self._reporter.leave(forget=not self._place.orphaned())
        await self.world.usage.leave()
        await self.world.close()
        if self._place.peers is not None:
            (self._place.peers / f"{self.world.name}.sock").unlink(missing_ok=True)

    async def _calls_finish(self, until: float) -> None:
        """While calls are under way, connections are accepted a little longer: whoever balances the load has to ask to
        learn that we are not ready. Calls whose answers are streams are not seen by a listener and waited for here."""
        if self.world.conversations.tasks:
            await asyncio.wait(set(self.world.conversations.tasks), timeout=until - self._clock())
        for _ in range(20):
            if not self.public.in_flight or self._clock() >= until:
                return
            await asyncio.sleep(ACCEPT_GRACE / 20)

    async def _sweep(self) -> None:
        """The one clock of the worker: progress, log lines, keep-alive and expiry."""
        ticks = 0
        while True:
            await asyncio.sleep(SWEEP)
            ticks += 1
            self.world.progress.sweep()
            self.world.access_log.flush()
            if ticks % int(1 / SWEEP) == 0:
                self.world.views.sweep()
                self.world.bridge.sweep()
            if ticks % int(KEEP_ALIVE / SWEEP) == 0:
                self.world.streams.keep_alive()
            if ticks % int(EXPEL / SWEEP) == 0:
                self.world.expel()
            if ticks % int(10 / SWEEP) == 0:
                self.world.sessions.sweep()
                await asyncio.to_thread(self._memory.give_back)

    def _questions(self) -> tuple[str, ...]:
        return ("figures", "status", "reload", "notify", "inspect", "replica", "changed")

    def _question(self, name: str) -> Callable[[str], Any]:
        return lambda about: self._answer(name, about)

    async def _answer(self, question: str, about: str = "") -> Any:
        if question == "notify":
            return self.world.reloader.notified(about) or True
        if question == "changed":
            return self.world.heard_changed(about) or True
        if question == "figures":
            return self.world.figures.snapshot()
        if question == "reload":
            return await self.reload()
        if question == "inspect":
            return await inside(self.world, about)
        if question == "replica":
            return await part(self.world, self._minute)
        return status(self.world, len(self.public))


def load_certificate(settings: Settings) -> Certificate | None:
    """What the public listener shows, where it speaks TLS. CertificateError when the files do not work."""
    if not settings.tls_cert:
        return None
    return Certificate(Path(settings.tls_cert), Path(settings.tls_key))


def _words(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return f"The store and its documents could not be loaded within {RELOAD_PATIENCE:g} s."
    return str(error)
