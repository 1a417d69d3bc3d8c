"""An engine for a database: few connections, a bound on every wait, and transactions that mean the same everywhere."""

from __future__ import annotations

import asyncio
import sqlite3
from typing import Any
from urllib.parse import quote

from sqlalchemy import Connection, event
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from portico.db.address import Address

CONNECT = 5.0
STATEMENT = 15.0
CONNECTIONS = 2


def create(address: Address) -> AsyncEngine:
    """Nothing is connected yet. A file that is not there is an error then, and is not made."""
    if address.file:
        return _sqlite(address.file)
    driver = address.url.get_driver_name()
    arguments: dict[str, Any] = {}
    if driver == "asyncpg":
        arguments = {"timeout": CONNECT, "command_timeout": STATEMENT}
        arguments["server_settings"] = {
            "statement_timeout": str(int(STATEMENT * 1000)),
            "idle_in_transaction_session_timeout": str(int(STATEMENT * 2000)),
            "application_name": "portico",
        }
    elif driver == "aiomysql":
        arguments = {"connect_timeout": CONNECT, "init_command": "SET SESSION innodb_lock_wait_timeout = 15"}
    if address.tls is not None:
        arguments["ssl"] = address.tls
    return create_async_engine(
        address.url,
        connect_args=arguments,
        isolation_level="READ COMMITTED",
        pool_size=CONNECTIONS,
        max_overflow=0,
        pool_timeout=STATEMENT,
        pool_pre_ping=True,
        pool_recycle=1800,
        hide_parameters=True,
    )


def _sqlite(file: str) -> AsyncEngine:
    name = f"file:{quote(file if file.startswith('/') else f'./{file}')}?mode=rw"
    engine = create_async_engine(
        f"sqlite+aiosqlite:///{name}&uri=true",
        connect_args={"timeout": STATEMENT},
        pool_size=CONNECTIONS,
        max_overflow=0,
        pool_timeout=STATEMENT,
        hide_parameters=True,
    )

    @event.listens_for(engine.sync_engine, "do_connect")
    def opened(dialect: Any, record: Any, arguments: Any, options: Any) -> None:
        # The driver's thread outlives a connection that fails, and would speak to a loop that is closed: so try first.
        sqlite3.connect(name, uri=True).close()

    @event.listens_for(engine.sync_engine, "connect")
    def connected(connection: Any, record: Any) -> None:
        # The driver would begin a transaction late and on its own terms; below it begins where SQLAlchemy says so.
        connection.isolation_level = None
        cursor = connection.cursor()
        cursor.execute("PRAGMA foreign_keys = ON")
        # What was acknowledged has to survive a power cut, which WAL alone does not promise.
        cursor.execute("PRAGMA synchronous = FULL")
        cursor.close()

    @event.listens_for(engine.sync_engine, "begin")
    def begun(connection: Connection) -> None:
        # A writer that reads first and locks later would be refused when another one was faster.
        writes = connection.get_execution_options().get("writes", False)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    return engine


def patience(seconds: float = STATEMENT) -> asyncio.Timeout:
    """No question to a database waits longer than this, whatever its driver promises."""
    return asyncio.timeout(seconds)
