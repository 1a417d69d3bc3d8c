"""Work that several callers need and that is done once: whoever comes while it is under way waits for the same end."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Coroutine
from typing import Any, Generic, TypeVar

T = TypeVar("T")


class Flight(Generic[T]):
    """A caller that gives up, or is late, leaves the others and the work alone. Callers need not be tasks."""

    __slots__ = ("_task",)

    def __init__(self) -> None:
        self._task: asyncio.Task[T] | None = None

    @property
    def is_under_way(self) -> bool:
        return self._task is not None

    async def join(
        self,
        work: Callable[[], Coroutine[Any, Any, T]],
        *,
        deadline: float = math.inf,
        late: Callable[[], Exception] = TimeoutError,
    ) -> T:
        """What the work gives; raises `late()` at the deadline, a point of the loop's clock."""
        loop = asyncio.get_running_loop()
        task = self._task
        if task is None:
            task = self._task = loop.create_task(work())
            task.add_done_callback(self._landed)
        if deadline == math.inf:
            return await asyncio.shield(task)
        waiter: asyncio.Future[T] = asyncio.shield(task)
        timer = loop.call_at(deadline, _fail, waiter, late)
        try:
            return await waiter
        finally:
            timer.cancel()

    def cancel(self) -> None:
        if self._task is not None:
            self._task.cancel()

    def _landed(self, task: asyncio.Task[T]) -> None:
        self._task = None
        if not task.cancelled():
            task.exception()  # Retrieved, for there may be no caller left to hear of it.


def _fail(waiter: asyncio.Future[Any], late: Callable[[], Exception]) -> None:
    if not waiter.done():
        waiter.set_exception(late())
