"""Commands that work on a store: what they have in common, and how their outcome is shown."""

from __future__ import annotations

import asyncio
import inspect
import json
import sys
from collections.abc import Awaitable, Callable
from typing import Annotated, Any, NoReturn, Protocol

import typer

from portico.apps.outcome import WRONG, Outcome, code_of
from portico.settings import Settings, SettingsError, resolve
from portico.store.records import DEFAULT_TENANT
from portico.store.store import StoreError

_OPTIONS: dict[str, tuple[Any, Any, Any]] = {
    "store": (str | None, None, typer.Option(help="files:DIR, sqlite:FILE, postgresql://… or mysql://….")),
    "tenant": (str, DEFAULT_TENANT, typer.Option(help="Whose they are.")),
    "notify": (list[str] | None, None, typer.Option(help="URL of a notifier to tell; may be repeated.")),
    "admin_token": (str | None, None, typer.Option(help="Token of the gateways' admin listeners.")),
    "as_json": (bool, False, typer.Option("--json", help="Print JSON, and ask nothing.")),
    "yes": (bool, False, typer.Option("--yes", "-y", help="Ask nothing.")),
    "settings": (str | None, None, typer.Option(help="A TOML file of settings.", metavar="FILE")),
}


class Desk(Protocol):
    """What works on the store, until it is closed."""

    async def close(self) -> None: ...


Ask = Callable[[list[str], str], bool]
Open = Callable[[Settings, str, Ask], Desk]


_MORE: dict[str, tuple[Any, Any, Any]] = {
    "key_file": (str | None, None, typer.Option(help="File of the keys that seal and open secrets.", metavar="FILE")),
}


def on_store(
    open_desk: Callable[[], Open], *more_options: str, of_all: bool = False
) -> Callable[[Callable[..., Awaitable[Outcome]]], Callable[..., None]]:
    """A command whose first argument is what `open_desk` gives, with the options that say which store it works on.
    `more_options` are settings that not all such commands need. A command `of_all` knows no tenant."""
    known = _OPTIONS | {name: _MORE[name] for name in more_options}
    if of_all:
        del known["tenant"]

    def decorate(command: Callable[..., Awaitable[Outcome]]) -> Callable[..., None]:
        own = list(inspect.signature(command, eval_str=True).parameters.values())[1:]

        def wrapper(**given: Any) -> None:
            mine = {parameter.name: given[parameter.name] for parameter in own}
            options = {name: given[name] for name in known}
            show_outcome(_run(open_desk(), lambda desk: command(desk, **mine), options), options["as_json"])

        keyword = inspect.Parameter.KEYWORD_ONLY
        more = [
            inspect.Parameter(name, keyword, default=default, annotation=Annotated[kind, option])
            for name, (kind, default, option) in known.items()
        ]
        parameters = [*(parameter.replace(kind=keyword) for parameter in own), *more]
        wrapper.__signature__ = inspect.Signature(parameters)
        wrapper.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
        wrapper.__doc__ = command.__doc__
        return wrapper

    return decorate


def _run(open_desk: Open, work: Callable[[Any], Awaitable[Outcome]], options: dict[str, Any]) -> Outcome:
    notify = tuple(options["notify"]) if options["notify"] else None
    flags = {"store": options["store"], "notify": notify, "admin_token": options["admin_token"]}
    flags |= {name: options[name] for name in _MORE if name in options}

    async def run() -> Outcome:
        settings = resolve(flags, file=options["settings"]).settings
        desk = open_desk(settings, options.get("tenant", DEFAULT_TENANT), _asking(options["as_json"], options["yes"]))
        try:
            return await work(desk)
        finally:
            await desk.close()

    try:
        return asyncio.run(run())
    except (SettingsError, StoreError) as error:
        return fail(str(error), code_of(error))
    except OSError as error:
        return fail(f"{error.filename or 'a file'}: {error.strerror or error}", WRONG)


def _asking(as_json: bool, yes: bool) -> Ask:
    def ask(lines: list[str], question: str) -> bool:
        if as_json:
            return True
        for line in lines:
            typer.echo(line)
        return yes or not sys.stdin.isatty() or typer.confirm(question)

    return ask


def show_outcome(outcome: Outcome, as_json: bool) -> NoReturn:
    if as_json:
        typer.echo(json.dumps(outcome.data, ensure_ascii=False, indent=2))
    else:
        for line in outcome.lines:
            typer.echo(line)
    raise typer.Exit(outcome.code)


def fail(message: str, code: int) -> NoReturn:
    typer.echo(f"portico: {message}", err=True)
    raise typer.Exit(code)
