"""Work that several callers need and that is done once: whoever comes while it is under way waits for the same end."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Generic, TypeVar

T = TypeVar("T")


class Flight(Generic[T]):
    """A caller that gives up leaves the others, and the work, alone."""

    __slots__ = ("_task",)

    def __init__(self) -> None:
        self._task: asyncio.Task[T] | None = None

    @property
    def is_under_way(self) -> bool:
        return self._task is not None

    async def join(self, work: Callable[[], Coroutine[Any, Any, T]]) -> T:
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(work())
            self._task.add_done_callback(self._landed)
        return await asyncio.shield(self._task)

    def cancel(self) -> None:
        if self._task is not None:
            self._task.cancel()

    def _landed(self, task: asyncio.Task[T]) -> None:
        self._task = None
        if not task.cancelled():
            task.exception()  # Retrieved, for there may be no caller left to hear of it.
