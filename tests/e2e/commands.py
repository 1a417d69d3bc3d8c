"""Commands of Portico that end by themselves.

Each is a process of its own, forked from one that has already imported what commands need: alone that takes most of
their time. What a command does from its first line on, tests/e2e/test_process.py and the README's own test see.
"""

import multiprocessing
import os
import pkgutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from subprocess import CompletedProcess, TimeoutExpired

import portico.apps
from portico.cli import main

WAIT = 30.0
PORTICO = [sys.executable, "-m", "portico.cli"]
_STREAMS = {"in": os.O_RDONLY, "out": os.O_WRONLY, "err": os.O_WRONLY}
_IMPORTED = ["portico.store.sql.store", "aiosqlite", "asyncpg", "aiomysql", "alembic.command", "cryptography.fernet"]

_forked = multiprocessing.get_context("forkserver")
_forked.set_forkserver_preload(
    [
        "pytest",
        __name__,
        *_IMPORTED,
        *(f"portico.apps.{module.name}" for module in pkgutil.iter_modules(portico.apps.__path__)),
    ]
)


def environment(more: Mapping[str, str] | None = None) -> dict[str, str]:
    """Nothing of Portico's but what a test gives."""
    return {name: value for name, value in os.environ.items() if not name.startswith("PORTICO_")} | dict(more or {})


def run(
    *arguments: str, env: Mapping[str, str] | None = None, cwd: Path | None = None, given: str = ""
) -> CompletedProcess[str]:
    """`given` is its standard input. What an interpreter reads when it starts needs one that does."""
    if env is not None and "PYTHONPATH" in env:
        return run_alone(*arguments, env=env, cwd=cwd, given=given)
    with tempfile.TemporaryDirectory() as folder:
        streams = {name: Path(folder, name) for name in _STREAMS}
        for name, path in streams.items():
            path.write_text(given if name == "in" else "")
        command = _forked.Process(target=_command, args=(arguments, environment(env), cwd or Path.cwd(), streams))
        command.start()
        command.join(WAIT)
        out, err = streams["out"].read_text(), streams["err"].read_text()
        if command.is_alive():
            command.kill()
            command.join()
            raise TimeoutExpired(arguments, WAIT, out, err)
        return CompletedProcess(arguments, command.exitcode or 0, out, err)


def run_alone(
    *arguments: str, env: Mapping[str, str] | None = None, cwd: Path | None = None, given: str = ""
) -> CompletedProcess[str]:
    """The same in an interpreter of its own, as people start it."""
    command = [*PORTICO, *arguments]
    return subprocess.run(
        command, capture_output=True, text=True, input=given, timeout=WAIT, env=environment(env), cwd=cwd
    )


def _command(arguments: tuple[str, ...], env: dict[str, str], cwd: Path, streams: dict[str, Path]) -> None:
    for number, (name, flags) in enumerate(_STREAMS.items()):
        os.dup2(os.open(streams[name], flags), number)
        setattr(sys, f"std{name}", os.fdopen(number, "r" if name == "in" else "w", closefd=False))
    os.environ.clear()
    os.environ.update(env)
    os.chdir(cwd)
    sys.argv = ["portico", *arguments]
    main()
