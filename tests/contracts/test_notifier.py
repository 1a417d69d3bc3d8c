"""What every kind of notifier promises, against the real thing: Redis alone, behind a sentinel and as a cluster,
PostgreSQL, and a gateway's admin listener.
"""

import asyncio
import logging
import os
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import asyncpg
import pytest
from tests.fakes import postgres_server, redis_server

from portico.apps.pidfile import pidfile
from portico.notify.fanout import Receivers, Senders
from portico.notify.local import Local
from portico.notify.open import open_receivers, open_senders
from portico.notify.place import Place
from portico.notify.postgres import Postgres
from portico.notify.redis import Redis

pytestmark = [pytest.mark.e2e, pytest.mark.anyio, pytest.mark.timeout(90)]

WAIT = 20.0
KINDS = ("local", "redis", "sentinel", "cluster", "postgresql")


@dataclass
class Kind:
    """`stop` and `start` are for the server behind it, where there is one."""

    url: str
    stop: Callable[[], None] = lambda: None
    start: Callable[[], None] = lambda: None
    local: Local = field(default_factory=Local)

    def senders(self) -> Senders:
        return Senders(open_senders([self.url], local=self.local))


@contextmanager
def made(kind: str, directory: Path) -> Iterator[Kind]:
    if kind == "local":
        yield Kind("local:")
    elif kind == "redis":
        with redis_server.single(directory) as (server, url):
            yield Kind(url, server.stop, server.start)
    elif kind == "sentinel":
        with redis_server.behind_sentinel(directory) as (server, url):
            yield Kind(url, server.stop, server.start)
    elif kind == "cluster":
        with redis_server.cluster(directory) as (servers, url):
            # Only those that the URL names: without them there is no way in.
            named = servers[:2]
            yield Kind(url, lambda: [each.stop() for each in named], lambda: [each.start() for each in named])
    else:
        with postgres_server.postgres() as server:
            yield Kind(server.url, server.stop, server.start)


@pytest.fixture(scope="module", params=KINDS)
def kind(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kind]:
    with made(request.param, tmp_path_factory.mktemp(request.param)) as found:
        yield found


class Heard:
    """A receiver that runs, and what it was told."""

    def __init__(self, kind: Kind) -> None:
        self.messages: list[str] = []
        self.receivers = Receivers(open_receivers([kind.url], kind.local), self.messages.append)

    @property
    def up(self) -> bool:
        return self.receivers.standings[0].up

    async def until(self, look: Callable[[], bool]) -> None:
        async with asyncio.timeout(WAIT):
            while not look():  # noqa: ASYNC110
                await asyncio.sleep(0.01)


@asynccontextmanager
async def listening(kind: Kind) -> AsyncIterator[Heard]:
    heard = Heard(kind)
    task = asyncio.create_task(heard.receivers.run())
    try:
        await heard.until(lambda: heard.up)
        yield heard
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_everybody_who_listens_hears_the_revision(kind: Kind) -> None:
    async with listening(kind) as one, listening(kind) as other:
        assert await kind.senders().announce("42") == []
        await one.until(lambda: "42" in one.messages)
        await other.until(lambda: "42" in other.messages)
        # To have just begun to listen is a reason to look, because what came before was not heard.
        assert one.messages == other.messages == ["", "42"]
        assert one.receivers.standings[0].heard == 1


async def test_whether_a_message_would_be_taken_is_seen_without_one(kind: Kind) -> None:
    async with listening(kind) as heard:
        (sender,) = open_senders([kind.url], local=kind.local)
        await sender.reach()
        await sender.announce("5")
        await heard.until(lambda: "5" in heard.messages)
        assert heard.messages == ["", "5"]


async def test_who_listens_no_more_is_gone(kind: Kind) -> None:
    async with listening(kind) as gone:
        pass
    async with listening(kind) as heard:
        assert await kind.senders().announce("7") == []
        await heard.until(lambda: "7" in heard.messages)
    assert gone.messages == [""]


async def test_what_is_no_revision_is_not_heard(kind: Kind) -> None:
    async with listening(kind) as heard:
        for garbage in ("x" * 129, "version: 1\nname: evil", "é", "1 2"):
            await kind.senders().announce(garbage)
        await kind.senders().announce("8")
        await heard.until(lambda: "8" in heard.messages)
        assert heard.messages == ["", "8"]


async def test_a_storm_is_heard_and_ends(kind: Kind) -> None:
    async with listening(kind) as heard:
        senders = kind.senders()
        for number in range(100):
            assert await senders.announce(str(number)) == []
        await heard.until(lambda: "99" in heard.messages)
        assert heard.up


@pytest.mark.parametrize("kind", KINDS[1:], indirect=True)
async def test_a_server_that_was_down_is_listened_to_again(kind: Kind, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "portico.notify")
    async with listening(kind) as heard:
        await asyncio.to_thread(kind.stop)
        await heard.until(lambda: not heard.up)
        (standing,) = heard.receivers.standings
        (warning,) = await kind.senders().announce("43")
        assert warning.startswith(f"{standing.notifier}: ")
        assert standing.error
        await asyncio.to_thread(kind.start)
        await heard.until(lambda: heard.up)
        # What was announced meanwhile is lost, so it is told to look.
        assert heard.messages.count("") == 2
        assert "43" not in heard.messages
        assert await kind.senders().announce("44") == []
        await heard.until(lambda: "44" in heard.messages)
    assert any("is down, so changes are seen by polling" in text for text in caplog.messages)
    assert any("is up again" in text for text in caplog.messages)
    assert "a-password-of" not in caplog.text + warning + standing.error


@pytest.mark.parametrize("quiet", [False, True], ids=["alive", "silent"])
async def test_a_connection_on_which_nothing_comes_is_asked_whether_it_lives(
    quiet: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A network that swallows everything breaks no connection: only asking tells."""
    monkeypatch.setattr("portico.notify.redis.PATIENCE", 1.0)
    with redis_server.single(tmp_path) as (_, url):
        real = Place.parse(url, 6379)
        async with swallowing(real.hosts[0][1]) as (port, swallow):
            receiver = Redis(Place.parse(f"redis://:{redis_server.PASSWORD}@127.0.0.1:{port}", 6379), heartbeat=0.2)
            ready, heard = asyncio.Event(), asyncio.Queue[str]()
            task = asyncio.create_task(receiver.listen(ready.set, heard.put_nowait))
            await asyncio.wait_for(ready.wait(), WAIT)
            if quiet:
                swallow.set()
                with pytest.raises(Exception, match=r"silent|too long"):
                    await asyncio.wait_for(task, WAIT)
            else:
                # Longer than several heartbeats.
                await asyncio.wait([task], timeout=1.5)
                await Redis(real).announce("9")
                assert await asyncio.wait_for(heard.get(), WAIT) == "9"
                task.cancel()


@asynccontextmanager
async def swallowing(target: int) -> AsyncIterator[tuple[int, asyncio.Event]]:
    """A proxy that passes nothing on any more when it is told so, and keeps its connections."""
    swallow = asyncio.Event()

    async def pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        while data := await source.read(4096):
            if not swallow.is_set():
                sink.write(data)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection("127.0.0.1", target)
        try:
            await asyncio.gather(pump(reader, back), pump(there, writer))
        except OSError:
            pass
        finally:
            back.close()
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1], swallow
    finally:
        server.close()


async def test_a_wrong_password_is_said_and_not_shown(tmp_path: Path) -> None:
    with redis_server.single(tmp_path) as (server, _), postgres_server.postgres() as database:
        wrong = "wrong-and-secret"
        urls = [
            f"redis://:{wrong}@127.0.0.1:{server.port}",
            f"postgresql://portico:{wrong}@127.0.0.1:{database.port}/postgres",
        ]
        found = await Senders(open_senders(urls)).announce("1")
    assert len(found) == 2
    assert "invalid username-password" in found[0]
    assert "password authentication failed" in found[1]
    assert wrong not in "".join(found)


async def test_postgres_tells_the_revision_and_nothing_else() -> None:
    with postgres_server.postgres() as server:
        heard = asyncio.Queue[tuple[object, ...]]()
        connection = await asyncpg.connect(server.url)
        await connection.add_listener("portico", lambda *given: heard.put_nowait(given[2:]))
        await Postgres(Place.parse(server.url, 5432)).announce("17")
        assert await asyncio.wait_for(heard.get(), WAIT) == ("portico", "17")
        await connection.close()


async def test_a_signal_goes_only_to_a_gateway_that_lives(tmp_path: Path) -> None:
    path = tmp_path / "gateway.pid"
    senders = Senders(open_senders([f"signal:{path}"]))
    (missing,) = await senders.announce("1")
    assert "No such file" in missing
    # The number of a process that lives, and is no gateway: this one, which a SIGHUP would end.
    path.write_text(f"{os.getpid()}\n")
    (stale,) = await senders.announce("1")
    assert "no gateway runs" in stale
    with pidfile(str(path)), pytest.raises(OSError, match="is held by process"), pidfile(str(path)):
        pass
    assert path.read_text() == ""
