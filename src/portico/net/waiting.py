"""A future whose answer reaches whoever waits at once, where one of asyncio takes another turn of the loop.

For a task it is a future like any other. Who steps a coroutine without a task sets `resume` instead of adding a
callback. It saves LATER µs a call (docs/performance.md).
"""

import asyncio
from collections.abc import Callable
from typing import Any


class Waiting(asyncio.Future[Any]):
    """`resume` is called once when it is done: by `answer` at once, by everything else soon."""

    __slots__ = ("resume",)

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(loop=loop)
        self.resume: Callable[[object], object] | None = None

    def answer(self, result: Any) -> None:
        """To be called last: what waits for the result runs before this returns."""
        super().set_result(result)
        resume, self.resume = self.resume, None
        if resume is not None:
            resume(self)

    def set_result(self, result: Any, /) -> None:
        super().set_result(result)
        self._resume_soon()

    def set_exception(self, exception: Any, /) -> None:
        super().set_exception(exception)
        self._resume_soon()

    def cancel(self, msg: Any | None = None) -> bool:
        done = super().cancel(msg)
        if done:
            self._resume_soon()
        return done

    def _resume_soon(self) -> None:
        resume, self.resume = self.resume, None
        if resume is not None:
            self.get_loop().call_soon(resume, self)
