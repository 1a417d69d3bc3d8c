"""A desktop client's file of MCP servers (`mcp.json`) made into a Document for a person to look at.

The forms of Claude, Cursor and VS Code differ in the name of the section and in how they refer to the environment and
to questions; what has no place in a Document becomes a note with its line. Nothing is saved.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import yaml

from portico.config.load import load
from portico.config.positions import Path, Positions
from portico.config.problem import Problem, Severity, pointer, quoted

SECTIONS = ("mcpServers", "servers")
_TYPES = {"stdio": "stdio", "sse": "sse", "http": "http", "streamable-http": "http", "streamableHttp": "http"}
_TAKEN = ("type", "url", "serverUrl", "httpUrl", "headers", "command", "args", "env", "cwd")
_VARIABLE = re.compile(r"\$\{(?:(env|input):)?([A-Za-z0-9_.-]+)(?::-([^}]*))?\}")
_COMMENT = re.compile(rb'"(?:[^"\\\\]|\\\\.)*"|//[^\r\n]*|/\*.*?\*/', re.DOTALL)
_TRAILING = re.compile(rb'"(?:[^"\\\\]|\\\\.)*"|,(?=\s*[}\]])')
_CREDENTIAL = re.compile(r"(?i)(authorization|api[-_]?key|token|secret|password)")


@dataclass(frozen=True, slots=True)
class Imported:
    """`text` is the Document, None when the file is not one of servers; `problems` say why, or what was lost."""

    text: str | None
    problems: tuple[Problem, ...]


def import_mcp_json(text: bytes, source: str, name: str = "imported") -> Imported:
    """Never raises. `name` becomes the Document's."""
    loaded = load(_plain(text), source if source.endswith(".json") else f"{source}.json")
    if not loaded.readable:
        return Imported(None, tuple(loaded.problems))
    return _Importer(loaded.value, loaded.positions, source).document(name)


def _plain(text: bytes) -> bytes:
    """JSON without the comments and last commas that VS Code allows; every character keeps its place."""

    def blank(match: re.Match[bytes]) -> bytes:
        found = match[0]
        return found if found[:1] == b'"' else re.sub(rb"[^\r\n]", b" ", found)

    return _TRAILING.sub(blank, _COMMENT.sub(blank, text))


class _Importer:
    def __init__(self, value: Any, positions: Positions, source: str) -> None:
        self._value = value
        self._positions = positions
        self._source = source
        self._problems: list[Problem] = []

    def document(self, name: str) -> Imported:
        root = self._value if isinstance(self._value, dict) else {}
        section = next((key for key in SECTIONS if isinstance(root.get(key), dict)), None)
        if section is None:
            mend = "Give a file with an object `mcpServers` (Claude, Cursor) or `servers` (VS Code)"
            self._say(Severity.ERROR, (), "no-servers", "this is not a file of MCP servers", mend)
            return Imported(None, tuple(self._problems))
        for key in root:
            if key not in (section, "inputs"):
                self._lost((key,), f"{quoted(key)} has no place in a document")
        servers: dict[str, Any] = {}
        for original, entry in root[section].items():
            self._server(servers, (section, original), original, entry)
        routers = [{"prefix": f"/{server}", "server": server} for server in servers]
        document = {"version": 1, "name": _slug(name), "routers": routers, "mcpServers": servers}
        return Imported(yaml.safe_dump(document, sort_keys=False, allow_unicode=True), tuple(self._problems))

    def _server(self, servers: dict[str, Any], path: Path, original: str, entry: Any) -> None:
        if not isinstance(entry, dict):
            self._lost(path, f"{quoted(original)} is not an object")
            return
        name = _slug(original)
        while name in servers:
            name += "-2"
        if name != original:
            self._say(
                Severity.NOTE, path, "renamed", f"{quoted(original)} is called {name} here", "Names are like that"
            )
        servers[name] = self._entry(path, entry)
        for key, value in entry.items():
            if key not in _TAKEN:
                hint = "; the server is switched off there, remove it here" if key == "disabled" and value else ""
                self._lost((*path, key), f"{quoted(key)} has no place in a document{hint}")

    def _entry(self, path: Path, entry: dict[str, Any]) -> dict[str, Any]:
        found: dict[str, Any] = {}
        kind = _TYPES.get(str(entry.get("type")))
        url = entry.get("url") or entry.get("httpUrl") or entry.get("serverUrl")
        if isinstance(entry.get("command"), str):
            found["command"] = entry["command"]
            given = entry.get("args")
            arguments: list[Any] = given if isinstance(given, list) else []
            found |= {"args": [str(argument) for argument in arguments]} if arguments else {}
            for index, argument in enumerate(arguments):
                if _VARIABLE.search(str(argument)):
                    self._lost((*path, "args", index), "arguments of a command have no templates: write the value")
        elif isinstance(url, str):
            if kind in ("sse", "http"):
                found["type"] = kind
            found["url"] = self._text((*path, "url"), "url", url)
        else:
            self._say(Severity.ERROR, path, "no-url", "the server has neither command nor url", "Write one of them")
        for section in ("headers", "env"):
            values = entry.get(section)
            if isinstance(values, dict) and values:
                found[section] = {
                    key: self._text((*path, section, key), key, str(value)) for key, value in values.items()
                }
        if isinstance(entry.get("cwd"), str):
            found["cwd"] = entry["cwd"]
        return found

    def _text(self, path: Path, key: str, text: str) -> str:
        """References become secrets; a literal that looks like a credential is named, not moved."""

        def secret(match: re.Match[str]) -> str:
            name = re.sub(r"[^A-Za-z0-9_]", "_", match[2]).upper()
            mend = f"Put its value into the directory of secrets, or into PORTICO_SECRET_{name}"
            self._say(Severity.NOTE, path, "secret-wanted", f"{match[0]} is the secret {name} here", mend)
            return "{{ secrets." + name + " }}"

        replaced = _VARIABLE.sub(secret, text)
        if replaced == text and _CREDENTIAL.search(key):
            mend = "Move the value to a secret and write {{ secrets.NAME }}"
            self._say(Severity.WARNING, path, "credential-in-document", f"{quoted(key)} looks like a credential", mend)
        return replaced

    def _lost(self, path: Path, message: str) -> None:
        self._say(Severity.NOTE, path, "not-carried-over", message, "See docs/documents.md for what a document can say")

    def _say(self, severity: Severity, path: Path, code: str, message: str, mend: str) -> None:
        line, column = self._positions.find(path, key=True)
        self._problems.append(Problem(code, severity, message, mend, pointer(path), line, column, self._source))


def _slug(name: str) -> str:
    slug = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:63]
    return slug or "server"
