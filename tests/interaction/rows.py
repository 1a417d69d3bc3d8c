"""Where rows are written down, and what many of them look at."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from tests.fakes.gateway import Gateway
from tests.fakes.http_wire import Reply

Row = Callable[[Any], Awaitable[None]]

ROWS: dict[str, tuple[str, Row]] = {}
"""By cell: the fixture that the row wants (gateway, changing or pair), and the row."""


def row(cell: str, wants: str = "gateway") -> Callable[[Row], Row]:
    def write_down(check: Row) -> Row:
        assert cell not in ROWS, f"{cell} has two rows"
        ROWS[cell] = (wants, check)
        return check

    return write_down


def refused(reply: Reply, status: int, code: int, identifier: Any = 1) -> dict[str, Any]:
    """Checks an error that travels alone, and returns it."""
    assert (reply.status, reply.json.get("error", {}).get("code")) == (status, code), (reply.status, reply.body)
    assert reply.headers["content-type"] == "application/json"
    assert reply.json["id"] == identifier
    assert reply.error["message"]
    return reply.error


async def eventually(true: Callable[[], bool], seconds: float = 3.0) -> None:
    """For what nobody announces. Looks often, and gives up."""
    async with asyncio.timeout(seconds):
        while not true():  # noqa: ASYNC110
            await asyncio.sleep(0.005)


async def dropped_within_a_second(gateway: Gateway) -> None:
    await gateway.rest.until(gateway.rest.dropped, 1.0)
