"""What differs between SQLite, PostgreSQL and MySQL: the clock, binary texts, names, and the waiting of migrations."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import (
    BigInteger,
    BindParameter,
    ColumnElement,
    Connection,
    Dialect,
    Insert,
    Integer,
    LargeBinary,
    String,
    Table,
    func,
    text,
)
from sqlalchemy.dialects import mysql, postgresql, sqlite
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement

MYSQL: dict[str, Any] = {"mysql_engine": "InnoDB", "mysql_charset": "utf8mb4", "mysql_collate": "utf8mb4_bin"}
MIGRATING = 72355235


class now(FunctionElement[int]):
    """Milliseconds since 1970 by the clock of the database, which is the same one for all who ask it."""

    type = BigInteger()
    inherit_cache = True


@compiles(now, "sqlite")
def _sqlite_now(element: Any, compiler: Any, **more: Any) -> str:
    return "CAST(ROUND((julianday('now') - 2440587.5) * 86400000) AS INTEGER)"


@compiles(now, "postgresql")
def _postgresql_now(element: Any, compiler: Any, **more: Any) -> str:
    return "CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000 AS BIGINT)"


@compiles(now, "mysql")
@compiles(now, "mariadb")
def _mysql_now(element: Any, compiler: Any, **more: Any) -> str:
    return "CAST(UNIX_TIMESTAMP(SYSDATE(3)) * 1000 AS SIGNED)"


def name(length: int = 63) -> String:
    """A name: told apart by every character, upper and lower case too, on every database."""
    return String(length).with_variant(mysql.VARCHAR(length, collation="utf8mb4_bin"), "mysql", "mariadb")


class _Hexadecimal(mysql.MEDIUMBLOB):
    """Bytes that are sent as digits: aiomysql 0.3.2 cannot send bytes with PyMySQL 1.2.3 and later."""

    def bind_processor(self, dialect: Dialect) -> Any:
        return lambda value: None if value is None else value.hex()

    def bind_expression(self, bindvalue: BindParameter[bytes]) -> ColumnElement[bytes]:
        return func.unhex(bindvalue)


def binary() -> LargeBinary:
    """Bytes of up to 16 MiB. A document is kept as bytes: nothing may turn its characters or line ends into others."""
    return LargeBinary().with_variant(_Hexadecimal(), "mysql", "mariadb")


def number() -> BigInteger:
    """A key that counts up by itself: SQLite counts only what is called INTEGER."""
    return BigInteger().with_variant(Integer(), "sqlite")


@contextmanager
def turn(connection: Connection) -> Iterator[None]:
    """One migration at a time works on a database; SQLite's transactions see to that by themselves. It is committed
    within the block; when it fails, the end of the connection gives the turn back."""
    kind = connection.dialect.name
    if kind == "postgresql":
        # Given back by the end of the transaction.
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": MIGRATING})
    elif kind in ("mysql", "mariadb") and not connection.scalar(text(f"SELECT GET_LOCK('portico-{MIGRATING}', 60)")):
        raise TimeoutError("another migration of this server did not end within a minute")
    yield
    if kind in ("mysql", "mariadb"):
        connection.execute(text(f"SELECT RELEASE_LOCK('portico-{MIGRATING}')"))


def lacks_table(error: BaseException) -> bool:
    """Whether a table that was asked for is not there. Servers say so in the language of their owner, so by number."""
    if getattr(error, "sqlstate", None) == "42P01" or error.args[:1] == (1146,):
        return True
    return "no such table" in str(error)


def upsert(kind: str, table: Table, key: dict[str, Any], values: dict[str, Any]) -> Insert:
    """Insert the row, or change it when there is one of that key; two at once do not disturb each other."""
    if kind in ("mysql", "mariadb"):
        return mysql.insert(table).values(**key, **values).on_duplicate_key_update(**values)
    insert = sqlite.insert if kind == "sqlite" else postgresql.insert
    return insert(table).values(**key, **values).on_conflict_do_update(index_elements=list(key), set_=values)
