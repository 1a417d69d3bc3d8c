"""Somebody at a terminal, with a store and files of their own."""

import json
from pathlib import Path
from subprocess import CompletedProcess

from tests.e2e.commands import run


class Desk:
    """`hidden` is what no command may ever show. The key file lies where it does without being named."""

    def __init__(self, url: str, directory: Path, hidden: str = "\0") -> None:
        self.url = url
        self.directory = directory
        self.environment = {"PORTICO_STORE": url, "XDG_STATE_HOME": str(directory / "state")}
        self.key_file = directory / "state" / "portico" / "secrets.key"
        self._hidden = hidden

    def __call__(self, *arguments: str, notify: str = "", given: str = "", **environment: str) -> CompletedProcess[str]:
        told = ["--notify", notify] if notify else []
        found = run(*arguments, *told, env=self.environment | environment, cwd=self.directory, given=given)
        assert self._hidden not in found.stdout + found.stderr
        return found

    def done(self, *arguments: str, notify: str = "", given: str = "") -> str:
        found = self(*arguments, notify=notify, given=given)
        assert found.returncode == 0, found.stdout + found.stderr
        return found.stdout

    def data(self, *arguments: str) -> object:
        return json.loads(self.done(*arguments, "--json"))

    def write(self, name: str, text: str) -> str:
        (self.directory / name).write_text(text)
        return name
