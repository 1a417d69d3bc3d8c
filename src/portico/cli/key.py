"""`portico key …`: arguments → one call into apps/keys or config/key."""

from __future__ import annotations

import sys
from typing import Annotated, Any

import typer

from portico.apps.outcome import WRONG, Outcome
from portico.cli.on_store import Open, fail, on_store

app = typer.Typer(help="API keys, which let clients in.", no_args_is_help=True)


def _open() -> Open:
    from portico.apps.keys import Keys

    return lambda settings, tenant, ask: Keys(settings, tenant)


@app.command("hash")
def hash_key(
    name: Annotated[str, typer.Option(help="Name of the key, for the log.")] = "client",
    stdin: Annotated[
        bool, typer.Option("--stdin", help="Read the key from standard input; else make a new one.")
    ] = False,
) -> None:
    """Print the line for a document's auth.keys; a new key goes to standard error, once."""
    from portico.config.key import is_key, key_hash, new_key

    text = sys.stdin.readline().strip() if stdin else new_key()
    if not is_key(text):
        fail("this is no key that Portico made: pk_ and 43 characters; leave --stdin away to make one", WRONG)
    if not stdin:
        typer.echo(f"The key, which is shown only now: {text}", err=True)
    typer.echo(f'- {{name: {name}, hash: "{key_hash(text)}"}}')


@app.command("create")
@on_store(_open)
async def create(
    desk: Any,
    name: Annotated[str, typer.Argument(help="Name of the key, for the log and to revoke it.")],
    endpoint: Annotated[
        list[str] | None, typer.Option(help="Prefix that it opens, * for any characters; may be repeated.")
    ] = None,
    tool: Annotated[
        list[str] | None, typer.Option(help="Tool that it may use, * for any characters; may be repeated.")
    ] = None,
    days: Annotated[float | None, typer.Option(min=0, help="Days that it works; else until it is revoked.")] = None,
) -> Outcome:
    """Make a key in a store and print it, once. Without options it opens all that the tenant has."""
    return await desk.create(name, endpoint or (), tool or (), days)


@app.command("list")
@on_store(_open)
async def list_keys(desk: Any) -> Outcome:
    """List the keys of a tenant, revoked ones too."""
    return await desk.listed()


@app.command("revoke")
@on_store(_open)
async def revoke(desk: Any, name: Annotated[str, typer.Argument(help="Name of the key.")]) -> Outcome:
    """Let a key open nothing any more; what it has open ends."""
    return await desk.revoke(name)
