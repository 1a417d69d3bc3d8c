"""From a URL to a sender or a receiver: the one list of the kinds of notifier that are built."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from portico.notify import postgres, redis, webhook
from portico.notify.local import Local
from portico.notify.notifier import Receiver, Sender
from portico.notify.place import Place
from portico.notify.signal import Hangup

KINDS = (
    "local:, signal:PIDFILE, http://HOST:PORT, redis://HOST:PORT (also rediss, +sentinel, +cluster) "
    "or postgresql://USER@HOST/DATABASE"
)
MOST = 16
_REDIS = tuple(f"{scheme}{kind}" for scheme in ("redis", "rediss") for kind in ("", "+sentinel", "+cluster"))
_POSTGRES = ("postgresql", "postgres")


def judge(urls: Sequence[str]) -> None:
    """ValueError that says which URL cannot be used and why, without what is secret in it."""
    if len(urls) > MOST:
        raise ValueError(f"there may be {MOST} of them")
    for number, url in enumerate(urls, 1):
        try:
            _sender(url, Local(), "")
        except ValueError as error:
            raise ValueError(f"number {number}, {Place.hide(url)}: {error}") from None


def open_senders(urls: Iterable[str], token: str = "", local: Local | None = None) -> list[Sender]:
    """`token` is for admin listeners whose URL names none."""
    return [_sender(url, local or Local(), token) for url in urls]


def open_receivers(urls: Iterable[str], local: Local | None = None) -> list[Receiver]:
    """Of those kinds that a process has to listen to. Signals and its admin listener reach a gateway anyway."""
    senders = open_senders(urls, local=local)
    return [each for each in senders if isinstance(each, Local | redis.Redis | postgres.Postgres)]


def _sender(url: str, local: Local, token: str) -> Sender:
    scheme, _, rest = url.partition(":")
    if url == "local:":
        return local
    if scheme == "signal":
        if not rest:
            raise ValueError("signal: names no file; write signal:PIDFILE, the file of --pidfile")
        return Hangup(Path(rest))
    if scheme in ("http", "https"):
        place = Place.parse(url, webhook.PORT)
        if len(place.hosts) > 1 or place.path or place.password is not None:
            raise ValueError("write http://HOST:PORT or http://TOKEN@HOST:PORT, one for each gateway")
        return webhook.Webhook(place, token)
    if scheme in _REDIS:
        return redis.Redis(_redis(url, scheme))
    if scheme in _POSTGRES:
        return postgres.Postgres(Place.parse(url, postgres.PORT, postgres.OPTIONS))
    raise ValueError(f"it is of no known kind; write {KINDS}")


def _redis(url: str, scheme: str) -> Place:
    of_sentinels = scheme.endswith("+sentinel")
    place = Place.parse(url, redis.SENTINEL_PORT if of_sentinels else redis.PORT, redis.OPTIONS)
    if of_sentinels and not place.path:
        raise ValueError(f"it names no master; write {scheme}://HOST:PORT,HOST:PORT/MASTER")
    if scheme.endswith("+cluster") and place.path:
        raise ValueError("a cluster has one database only; leave the path out")
    if scheme in ("redis", "rediss") and (len(place.hosts) > 1 or not (place.path or "0").isdecimal()):
        raise ValueError(f"write {scheme}://HOST:PORT or {scheme}://HOST:PORT/NUMBER")
    return place
