"""A handler's coroutine, stepped without a task: most calls wait once, and need nothing that a task would give."""

from __future__ import annotations

import asyncio
import contextvars
import logging
from collections.abc import Coroutine
from typing import Any, Protocol

from portico.gateway.exchange import Reply, Request, text_reply
from portico.net.waiting import Waiting

log = logging.getLogger("portico.ingress")

# Callbacks run in this one context, so that none is copied for each request.
_CONTEXT = contextvars.Context()


class Owner(Protocol):
    """The connection that the reply goes to."""

    def done(self, step: Step, reply: Reply, head_only: bool) -> None: ...


def _nothing() -> None:
    """There is nothing left to cancel."""


class Step:
    """A handler's coroutine, stepped without a task: it runs until it waits for a future, whose callback steps on."""

    __slots__ = ("_cancelling", "_connection", "_coroutine", "_request", "_waiting")

    def __init__(self, connection: Owner, request: Request, coroutine: Coroutine[Any, Any, Reply]) -> None:
        self._connection = connection
        self._request = request
        self._coroutine = coroutine
        self._waiting: asyncio.Future[Any] | None = None
        self._cancelling = False

    def run(self, _: object) -> None:
        self._waiting = None
        try:
            if self._cancelling:
                self._cancelling = False
                future = self._coroutine.throw(asyncio.CancelledError())
            else:
                future = self._coroutine.send(None)
        except StopIteration as stop:
            self._end(stop.value)
        except asyncio.CancelledError:
            self._end(text_reply(503, "The call was cancelled."))
        except Exception:
            log.exception("%s %s failed", self._request.method, self._request.path.decode("latin-1"))
            self._end(text_reply(500, "Internal error; the gateway's log says more."))
        else:
            self._wait(future)

    def _end(self, reply: Reply) -> None:
        # The request knows the step and the step the request: parted here, neither waits for the garbage collector.
        request = self._request
        request.cancel, request.on_disconnect = _nothing, None
        self._connection.done(self, reply, request.method == "HEAD")

    def _wait(self, future: asyncio.Future[Any] | None) -> None:
        if future is None:
            asyncio.get_running_loop().call_soon(self.run, None, context=_CONTEXT)
            return
        # This is how a task tells a future that it is being awaited properly.
        future._asyncio_future_blocking = False
        self._waiting = future
        if type(future) is Waiting and future.resume is None:
            future.resume = self.run
        else:
            future.add_done_callback(self.run, context=_CONTEXT)

    def cancel(self) -> None:
        """Make the current wait raise CancelledError."""
        waiting = self._waiting
        if waiting is None or not waiting.cancel():
            self._cancelling = True

    def disconnected(self) -> None:
        if self._request.on_disconnect is not None:
            self._request.on_disconnect()
