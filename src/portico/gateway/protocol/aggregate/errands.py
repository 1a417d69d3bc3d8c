"""Work for servers that no call waits for: of one kind, there is one at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any


class Errands:
    def __init__(self) -> None:
        self._tasks: dict[object, asyncio.Task[None]] = {}

    def run(self, key: object, work: Coroutine[Any, Any, None]) -> None:
        """Begin the work, unless something by this key is under way."""
        if key in self._tasks:
            work.close()
            return
        task = self._tasks[key] = asyncio.get_running_loop().create_task(work)
        task.add_done_callback(lambda _: self._tasks.pop(key, None))

    def close(self) -> None:
        for task in self._tasks.values():
            task.cancel()
