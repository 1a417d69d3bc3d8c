"""Arguments → one call into apps or config. No logic."""

from __future__ import annotations

import dataclasses
import inspect
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer

import portico
from portico.cli import backup, config, key, replicas, secret, tenant
from portico.cli.on_store import show_outcome
from portico.settings import Resolved, Settings, SettingsError, resolve, show

app = typer.Typer(
    name="portico",
    help="Portico puts HTTP APIs behind the Model Context Protocol, by configuration alone.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"portico {portico.__version__}")
        raise typer.Exit


@app.callback()
def main_options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    pass


def _with_settings(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command one flag for each setting; a flag that is not given is None."""
    own = list(inspect.signature(command, eval_str=True).parameters.values())[1:]
    flags = []
    for item in dataclasses.fields(Settings):
        kind = item.default.__class__
        many = kind is tuple
        annotation = list[str] | None if many else kind | None
        name = "--" + item.name.replace("_", "-")
        declared = f"{name}/--no-{name[2:]}" if kind is bool else name
        shown = item.default if item.default not in ("", ()) else None
        panel = "Limits" if item.metadata.get("limit") else "Settings"
        help_text = item.metadata["help"] + (f" Default: {shown}" if shown is not None and kind is not bool else "")
        flags.append(
            inspect.Parameter(
                item.name,
                inspect.Parameter.KEYWORD_ONLY,
                default=None,
                annotation=Annotated[
                    annotation, typer.Option(declared, help=help_text, show_default=False, rich_help_panel=panel)
                ],
            )
        )

    def wrapper(**given: Any) -> None:
        names = {item.name for item in dataclasses.fields(Settings)}
        settings = {key: value for key, value in given.items() if key in names}
        rest = {key: value for key, value in given.items() if key not in names}
        command({key: tuple(value) if isinstance(value, list) else value for key, value in settings.items()}, **rest)

    parameters = [*[parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY) for parameter in own], *flags]
    wrapper.__signature__ = inspect.Signature(parameters)
    wrapper.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    wrapper.__doc__ = command.__doc__
    return wrapper


SettingsFile = Annotated[str | None, typer.Option("--settings", help="A TOML file of settings.", metavar="FILE")]


def _resolved(flags: dict[str, Any], file: str | None) -> Resolved:
    try:
        return resolve({key: value or None if value == () else value for key, value in flags.items()}, file=file)
    except SettingsError as error:
        _fail(str(error))


def gateway(
    flags: dict[str, Any],
    settings: SettingsFile = None,
    show_settings: Annotated[bool, typer.Option("--show-settings", help="Print every setting and leave.")] = False,
) -> None:
    """Serve the documents of a store as MCP endpoints."""
    resolved = _resolved(flags, settings)
    if show_settings:
        typer.echo(show(resolved))
        return
    from portico.apps.gateway import run
    from portico.gateway.ingress.certificate import CertificateError
    from portico.store.open import StoreError

    try:
        code = run(resolved)
    except (OSError, StoreError, CertificateError) as error:
        _fail(str(error))
    raise typer.Exit(code)


app.command("gateway")(_with_settings(gateway))


def doctor(
    flags: dict[str, Any],
    settings: SettingsFile = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Say what stands in the way of a gateway with these settings, and how to mend it. Exit 1 when something does."""
    from portico.apps.doctor.command import doctor as look

    show_outcome(look(_resolved(flags, settings).settings), as_json)


app.command("doctor")(_with_settings(doctor))


@app.command("check")
def check(
    paths: Annotated[list[Path], typer.Argument(help="Documents, or directories of them.")],
) -> None:
    """Judge documents and print every problem as FILE:LINE:COLUMN: severity: ….  Exit 1 on an error."""
    from portico.config.report import check_paths

    report = check_paths(paths)
    for line in report.lines:
        typer.echo(line)
    raise typer.Exit(report.exit_code)


imports = typer.Typer(help="Make a document of what you already have, to look at and save.", no_args_is_help=True)
app.add_typer(imports, name="import")


@imports.command("mcp-json")
def import_mcp_json(
    file: Annotated[Path, typer.Argument(help="The mcp.json of a desktop client (Claude, Cursor or VS Code).")],
    name: Annotated[str, typer.Option(help="Name of the document.")] = "imported",
) -> None:
    """Print a document for a client's MCP servers; what does not carry over is noted on standard error."""
    from portico.config.mcp_json import import_mcp_json as convert

    try:
        imported = convert(file.read_bytes(), str(file), name)
    except OSError as error:
        _fail(f"{file} cannot be read: {error.strerror}")
    for problem in imported.problems:
        typer.echo(problem.render(), err=True)
    if imported.text is None:
        raise typer.Exit(1)
    typer.echo(imported.text, nl=False)


app.add_typer(config.app, name="config")
app.add_typer(key.app, name="key")
app.add_typer(secret.app, name="secret")
app.add_typer(tenant.app, name="tenant")
app.command("replicas")(replicas.replicas)
app.command("backup")(backup.backup)
app.command("restore")(backup.restore)


@app.command("schema")
def schema() -> None:
    """Print the JSON Schema of documents."""
    from portico.config.schema import schema_text

    typer.echo(schema_text(), nl=False)


@app.command("reload")
def reload(
    admin: Annotated[str, typer.Option(help="HOST:PORT of the gateway's admin listener.")] = "127.0.0.1:5239",
    token: Annotated[str, typer.Option(envvar="PORTICO_ADMIN_TOKEN", help="Its token, if it has one.")] = "",
) -> None:
    """Have a running gateway load its documents anew, now. Exit 1 when something stands against one."""
    from portico.apps.reload import ask

    text, code = ask(admin, token)
    typer.echo(text)
    raise typer.Exit(code)


@app.command("inspect")
def inspect_endpoint(
    target: Annotated[str, typer.Argument(help="URL of any MCP endpoint, or PREFIX of one of a running gateway.")],
    header: Annotated[list[str] | None, typer.Option(help="'Name: value' to send along; may be repeated.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
    admin: Annotated[str, typer.Option(help="HOST:PORT of the gateway's admin listener, for a PREFIX.")] = (
        "127.0.0.1:5239"
    ),
    token: Annotated[str, typer.Option(envvar="PORTICO_ADMIN_TOKEN", help="Its token, if it has one.")] = "",
) -> None:
    """Show what an endpoint offers, from where, in which eras, and what its tools cost. Exit 1 when part is away."""
    from portico.apps.inspect.command import inspect as look

    text, code = look(target, header or [], admin, token, as_json)
    typer.echo(text, err=code == 2)
    raise typer.Exit(code)


@app.command("announce")
def announce(
    notify: Annotated[list[str] | None, typer.Option(help="URL of a notifier; may be repeated.")] = None,
    store: Annotated[str | None, typer.Option(help="Where the documents are.")] = None,
    admin_token: Annotated[str | None, typer.Option(help="Token of the gateways' admin listeners.")] = None,
    settings: SettingsFile = None,
) -> None:
    """Tell gateways that the store has changed. Exit 1 when one could not be told; it sees the change by polling."""
    from portico.apps.announce import announce as tell
    from portico.store.open import StoreError

    flags = {"notify": tuple(notify) if notify else None, "store": store, "admin_token": admin_token}
    try:
        lines, code = tell(resolve(flags, file=settings).settings)
    except (SettingsError, StoreError) as error:
        _fail(str(error))
    for line in lines:
        typer.echo(line)
    raise typer.Exit(code)


@app.command("migrate")
def migrate(
    store: Annotated[str | None, typer.Option(help="The database: sqlite:FILE, postgresql://… or mysql://….")] = None,
    settings: SettingsFile = None,
) -> None:
    """Make the tables of a store, or bring them to the schema of this program; run it again as often as you like."""
    from portico.apps.migrate import migrate as run
    from portico.store.store import StoreError

    try:
        run(resolve({"store": store}, file=settings).settings)
    except (SettingsError, StoreError) as error:
        _fail(str(error))
    typer.echo("The store has the schema of this program.")


@app.command("demo")
def demo(
    port: Annotated[int, typer.Option(help="Port to listen on.")] = 5236,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    log: Annotated[str | None, typer.Option(help="File for one JSON line a request, or - for the terminal.")] = None,
) -> None:
    """Serve the demo's users API, which the example documents call."""
    from portico.demo import serve

    serve(host, port, log)


@app.command("example")
def example(
    port: Annotated[int, typer.Option(help="Port of the gateway.")] = 5235,
    demo_port: Annotated[int, typer.Option(help="Port of the demo service.")] = 5236,
    admin: Annotated[str, typer.Option(help="HOST:PORT of the admin listener, or off.")] = "127.0.0.1:5239",
    workers: Annotated[int, typer.Option(help="Processes of the gateway.")] = 1,
) -> None:
    """Start the gateway with the example documents, and the demo service that they call."""
    from portico.apps.example import run

    raise typer.Exit(run(port, demo_port, admin, workers))


def _fail(message: str) -> NoReturn:
    typer.echo(f"portico: {message}", err=True)
    sys.exit(2)


def main() -> None:
    app()


if __name__ == "__main__":
    main()
