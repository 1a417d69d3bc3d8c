"""`portico backup` and `portico restore`: arguments → one call into apps/backup."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from portico.apps.outcome import Outcome
from portico.cli.on_store import Open, on_store


def _open() -> Open:
    from portico.apps.backup import Backup

    return lambda settings, tenant, ask: Backup(settings, ask)


@on_store(_open, of_all=True)
async def backup(
    desk: Any, file: Annotated[Path, typer.Argument(help="File to make; it is not overwritten.")]
) -> Outcome:
    """Write everything that a store keeps into a file: all tenants, versions, keys and sealed secrets."""
    return await desk.write(file)


@on_store(_open, of_all=True)
async def restore(
    desk: Any,
    file: Annotated[Path, typer.Argument(help="What portico backup wrote, from a store of any kind.")],
    replace: Annotated[bool, typer.Option("--replace", help="Remove everything that the store has now.")] = False,
) -> Outcome:
    """Put a backup into an empty store: all of it, or nothing when the file is not whole."""
    return await desk.restore(file, replace)
