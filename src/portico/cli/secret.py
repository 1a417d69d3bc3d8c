"""`portico secret …`: arguments → one call into apps/secrets."""

from __future__ import annotations

import getpass
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from portico.apps.outcome import Outcome
from portico.cli.on_store import Open, on_store

MOST_READ = 128 * 1024

app = typer.Typer(help="Secrets of a store, sealed with a key file.", no_args_is_help=True)


def _open() -> Open:
    from portico.apps.secrets import Secrets

    return lambda settings, tenant, ask: Secrets(settings, tenant)


Name = Annotated[str, typer.Argument(help="Name of the secret, as documents read it: secrets.NAME.")]


@app.command("set")
@on_store(_open, "key_file")
async def set_secret(
    desk: Any,
    name: Name,
    file: Annotated[
        Path | None,
        typer.Option("--from", help="File of the value; else it is asked for, or read from standard input."),
    ] = None,
) -> Outcome:
    """Seal a secret, new or in place of what it was. Its value is no argument, which other users could see."""
    return await desk.set(name, lambda: _value(name, file))


@app.command("list")
@on_store(_open, "key_file")
async def list_secrets(desk: Any) -> Outcome:
    """List the names of a tenant's secrets, and whether the key file here opens them. Values are never shown."""
    return await desk.listed()


@app.command("delete")
@on_store(_open, "key_file")
async def delete(desk: Any, name: Name) -> Outcome:
    """Remove a secret; calls that need it fail then."""
    return await desk.delete(name)


@app.command("rekey")
@on_store(_open, "key_file")
async def rekey(
    desk: Any,
    new: Annotated[bool, typer.Option("--new/--no-new", help="Put a new key into the file first.")] = True,
    seal: Annotated[bool, typer.Option("--seal/--no-seal", help="Seal everything with the file's first key.")] = True,
    drop: Annotated[bool, typer.Option("--drop", help="Then remove keys from the file that seal nothing.")] = False,
) -> Outcome:
    """Seal the secrets of all tenants with another key. Exit 1 when one cannot be opened; it stays as it is."""
    return await desk.rekey(new=new, seal=seal, drop=drop)


def _value(name: str, file: Path | None) -> bytes:
    if file is not None:
        with open(file, "rb") as opened:
            return opened.read(MOST_READ)
    if sys.stdin.isatty():
        return getpass.getpass(f"Value of {name}, which is not shown: ").encode()
    return sys.stdin.buffer.read(MOST_READ)
