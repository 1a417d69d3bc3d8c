"""A way to the server of a database that breaks for good when a change is committed: before the server hears of it, or
before its answer comes back."""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from urllib.parse import urlsplit

# What the drivers of PostgreSQL and MySQL send last, which is not "READ COMMITTED". They commit at the start, too.
COMMIT = re.compile(rb"COMMIT;?\0?\Z")


@asynccontextmanager
async def cut_at_commit(url: str, *, heard: bool, after: int = 0) -> AsyncIterator[str]:
    """The URL of the same database by that way, which breaks after so many changes; `heard` says whether the server
    gets the COMMIT and does it."""
    place = urlsplit(url)
    left = after

    async def meet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        answers, server = await asyncio.open_connection(place.hostname, place.port)
        back = asyncio.create_task(_carry(answers, writer))
        nonlocal left
        with suppress(OSError):
            changed = False
            while data := await reader.read(65536):
                # Said once only: a statement that is used again is called by its number.
                changed = changed or b"INSERT INTO" in data
                if changed and COMMIT.search(data):
                    left -= 1
                    if left < 0:
                        break
                server.write(data)
            if data:
                listening.close()
            back.cancel()
            await asyncio.wait([back])
            if data and heard:
                server.write(data)
                assert await answers.read(1)
        writer.transport.abort()
        server.close()

    listening = await asyncio.start_server(meet, "127.0.0.1", 0)
    try:
        port = listening.sockets[0].getsockname()[1]
        yield url.replace(f":{place.port}/", f":{port}/")
    finally:
        listening.close()


async def _carry(answers: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while data := await answers.read(65536):
            writer.write(data)
        writer.close()
