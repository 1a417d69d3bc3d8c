"""A real store of each kind that there is, by its name."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.fakes import mariadb_server, postgres_server

KINDS = ("sqlite", "postgresql", "mysql")
STORES = (*KINDS, "files")
"""Databases, and a directory of documents, which needs no migration."""


@dataclass
class Kind:
    """Two empty databases. `stop` and `start` are for the server behind them."""

    url: str
    empty: str
    stop: Callable[[], None] = lambda: None
    start: Callable[[], None] = lambda: None


@contextmanager
def made(kind: str, directory: Path) -> Iterator[Kind]:
    if kind == "sqlite":
        yield Kind(f"sqlite:{directory}/a.db", f"sqlite:{directory}/b.db")
    elif kind == "files":
        for name in ("documents", "empty"):
            (directory / name).mkdir()
        yield Kind(f"files:{directory}/documents", f"files:{directory}/empty")
    elif kind == "postgresql":
        with postgres_server.postgres() as server:
            yield Kind(server.url, server.url.replace("/postgres", "/template1"), server.stop, server.start)
    else:
        with mariadb_server.mariadb() as server:
            yield Kind(server.url, server.database("portico2"), server.stop, server.start)
