"""`portico config …`: arguments → one call into apps/config."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from portico.apps.outcome import WRONG, Outcome
from portico.cli.on_store import Open, fail, on_store

if TYPE_CHECKING:
    pass

app = typer.Typer(help="Documents in a store: change them, and look at their versions.", no_args_is_help=True)

Name = Annotated[str, typer.Argument(help="Name of the document.")]


def _open() -> Open:
    from portico.apps.config import Config

    return Config


@app.command("list")
@on_store(_open)
async def list_documents(desk: Any) -> Outcome:
    """List the documents of a tenant."""
    return await desk.listed()


@app.command("get")
@on_store(_open)
async def get(desk: Any, name: Name) -> Outcome:
    """Print a document as it was written."""
    return await desk.get(name)


@app.command("apply")
@on_store(_open)
async def apply(
    desk: Any, files: Annotated[list[str], typer.Argument(help="Documents; - reads standard input.")]
) -> Outcome:
    """Check documents, show what would change, write them and tell the gateways. Exit 1 when one is refused."""
    return await desk.apply(files)


@app.command("diff")
@on_store(_open)
async def diff(
    desk: Any,
    name: Name,
    version: Annotated[str | None, typer.Argument(help="The older version; the one before the newest.")] = None,
    file: Annotated[Path | None, typer.Argument(help="A file to compare with, in place of the newest version.")] = None,
) -> Outcome:
    """Show what changed between versions, or between one and a file."""
    if version is not None and not version.isdecimal() and file is None:
        version, file = None, Path(version)
    return await desk.diff(name, None if version is None else _number(version), file)


@app.command("versions")
@on_store(_open)
async def versions(desk: Any, name: Name) -> Outcome:
    """List the versions of a document, the newest first."""
    return await desk.versions(name)


@app.command("rollback")
@on_store(_open)
async def rollback(
    desk: Any, name: Name, version: Annotated[str, typer.Argument(help="The version that is to hold again.")]
) -> Outcome:
    """Make a new version that says what an old one said; of a deleted document too."""
    return await desk.rollback(name, _number(version))


@app.command("delete")
@on_store(_open)
async def delete(desk: Any, name: Name) -> Outcome:
    """Remove a document; its versions stay, and rollback brings it back."""
    return await desk.delete(name)


@app.command("export")
@on_store(_open)
async def export(
    desk: Any, directory: Annotated[Path, typer.Argument(help="Where NAME.yaml of each document goes.")]
) -> Outcome:
    """Write every document of a tenant as a file."""
    return await desk.export(directory)


def _number(text: str) -> int:
    if not text.isdecimal() or not 0 < int(text) < 2**31:
        fail(f"{text[:40]!r} is no number of a version; portico config versions lists them", WRONG)
    return int(text)
