"""`portico tenant …`: arguments → one call into apps/tenants."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from portico.apps.outcome import Outcome
from portico.cli.on_store import Open, on_store

app = typer.Typer(help="Tenants of a store, and the prefixes that they own.", no_args_is_help=True)


def _open() -> Open:
    from portico.apps.tenants import Tenants

    return lambda settings, tenant, ask: Tenants(settings, ask)


Name = Annotated[str, typer.Argument(help="Name of the tenant.")]


@app.command("list")
@on_store(_open, of_all=True)
async def list_tenants(desk: Any) -> Outcome:
    """List the tenants and how many documents, secrets and working keys each has."""
    return await desk.listed()


@app.command("create")
@on_store(_open, of_all=True)
async def create(
    desk: Any,
    name: Name,
    prefix: Annotated[str, typer.Option(help="All of its routers begin with it, and nobody else's do.")] = "",
) -> Outcome:
    """Make a tenant by name. Exit 1 when its prefix stands against a document."""
    return await desk.create(name, prefix)


@app.command("prefix")
@on_store(_open, of_all=True)
async def prefix(
    desk: Any,
    name: Name,
    prefix: Annotated[str, typer.Argument(help="Its prefix from now on; none when it is left away.")] = "",
) -> Outcome:
    """Give a tenant a prefix, another one, or none. Exit 1 when it stands against a document."""
    return await desk.prefix(name, prefix)


@app.command("delete")
@on_store(_open, of_all=True)
async def delete(
    desk: Any,
    name: Name,
    force: Annotated[bool, typer.Option("--force", help="Also while it has documents, secrets or keys.")] = False,
) -> Outcome:
    """Remove a tenant with all that it ever had; only the audit of it stays."""
    return await desk.delete(name, force)
