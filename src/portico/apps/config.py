"""`portico config …`: the documents of one tenant of a store, as people change them.

A change is checked first, shown as a difference, asked for on a terminal, refused when somebody else was faster, and
announced.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from portico.apps.author import author
from portico.apps.desk import Desk
from portico.apps.difference import difference
from portico.apps.outcome import Outcome, code_of
from portico.apps.printing import moment, table
from portico.config.check import Checked, Tenancy, check, check_together
from portico.config.problem import Problem, Severity
from portico.settings import Settings
from portico.store.store import Missing, StoreError

MAX_READ = 2 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Wanted:
    """A document that somebody wants to be there, and what it would replace."""

    source: str
    checked: Checked
    text: bytes
    name: str = ""
    version: int = 0
    before: bytes = b""

    @property
    def changes(self) -> bool:
        return self.text != self.before or not self.version

    @property
    def difference(self) -> list[str]:
        return difference(self.before, self.text, f"{self.name} {self.version or 'new'}", self.source)


class Config(Desk):
    """`ask` shows lines, asks a question and says whether to go on."""

    def __init__(self, settings: Settings, tenant: str, ask: Callable[[list[str], str], bool]) -> None:
        super().__init__(settings, tenant)
        self._ask = ask

    async def listed(self) -> Outcome:
        found = await self._store.documents.list(self._tenant)
        data = [
            {
                "name": each.name,
                "version": each.version,
                "at": moment(each.at),
                "author": each.author,
                "size": len(each.text),
            }
            for each in found
        ]
        return Outcome(table(data), data)

    async def get(self, name: str) -> Outcome:
        kept = await self._store.documents.get(self._tenant, name)
        text = kept.text.decode(errors="replace")
        data = {"name": kept.name, "version": kept.version, "at": moment(kept.at), "author": kept.author, "text": text}
        return Outcome([text.removesuffix("\n")], data)

    async def versions(self, name: str) -> Outcome:
        found = await self._store.documents.versions(self._tenant, name)
        data = [{**asdict(each), "at": moment(each.at)} for each in found]
        shown = [{**each, "digest": each["digest"][:12]} for each in data]
        return Outcome(table(shown), data)

    async def diff(self, name: str, version: int | None, file: Path | None) -> Outcome:
        """Of a version, or the newest, with a file; without one with the newest, or the newest with the one before."""
        kept = await self._store.documents.get(self._tenant, name)
        if file is not None:
            number = version or kept.version
            after, label = read(str(file)), str(file)
        else:
            number = version or max(1, kept.version - 1)
            after, label = kept.text, f"{name} {kept.version}"
        before = await self._store.documents.text(self._tenant, name, number)
        lines = difference(before, after, f"{name} {number}", label)
        return Outcome(lines, {"name": name, "from": number, "to": label, "diff": "\n".join(lines)})

    async def apply(self, sources: Sequence[str]) -> Outcome:
        wanted = [Wanted(source, check(text := read(source), source), text) for source in sources]
        problems = [problem for each in wanted for problem in each.checked.problems]
        if all(each.checked.document is not None for each in wanted):
            wanted = [await self._placed(each) for each in wanted]
            problems += await self._together(wanted)
        told = [str(problem) for problem in problems]
        if any(problem.severity is Severity.ERROR for problem in problems):
            return Outcome([*told, "Nothing was changed."], {"applied": [], "problems": told}, 1)
        changed = [each for each in wanted if each.changes]
        lines = [*told, *(line for each in changed for line in each.difference)]
        if changed and not self._ask(lines, f"Apply {len(changed)} of {len(wanted)} documents?"):
            return Outcome(["Nothing was changed."], {"applied": [], "problems": told}, 1)
        done, stop, code = await self._put(changed)
        data = [
            {"name": each.name, "version": done.get(each.name, each.version), "changed": each.name in done}
            for each in wanted
            if each.name in done or not each.changes
        ]
        unchanged = ", unchanged"
        lines = [f"{each['name']}: version {each['version']}{'' if each['changed'] else unchanged}" for each in data]
        told = {"applied": data, "problems": told, "stopped": stop}
        return await self._announced([*lines, *stop], told, bool(done), code)

    async def rollback(self, name: str, number: int) -> Outcome:
        current, before = await self._current(name)
        text = await self._store.documents.text(self._tenant, name, number)
        problems = [str(problem) for problem in check(text, f"{name} {number}").problems]
        lines = [*problems, *difference(before, text, f"{name} {current or 'deleted'}", f"{name} {number}")]
        if not self._ask(lines, f"Roll {name} back to version {number}?"):
            return Outcome(["Nothing was changed."], {"name": name}, 1)
        version = await self._store.documents.rollback(self._tenant, name, number, expected=current, author=author())
        line = f"{name}: version {version}, as in version {number}"
        return await self._announced([line], {"name": name, "version": version, "problems": problems}, True)

    async def delete(self, name: str) -> Outcome:
        kept = await self._store.documents.get(self._tenant, name)
        if not self._ask([], f"Delete {name}, which its clients use no more then?"):
            return Outcome(["Nothing was changed."], {"name": name}, 1)
        version = await self._store.documents.delete(self._tenant, name, expected=kept.version, author=author())
        line = f"{name}: deleted; portico config rollback {name} {kept.version} brings it back"
        return await self._announced([line], {"name": name, "version": version}, True)

    async def export(self, directory: Path) -> Outcome:
        """Every document of the tenant as a file, which is not overwritten when it says something else."""
        found = await self._store.documents.list(self._tenant)
        return write_all({directory / f"{each.name}.yaml": each.text for each in found}, directory)

    async def _placed(self, wanted: Wanted) -> Wanted:
        assert wanted.checked.document is not None
        name = wanted.checked.document.name
        version, before = await self._current(name)
        return Wanted(wanted.source, wanted.checked, wanted.text, name, version, before)

    async def _current(self, name: str) -> tuple[int, bytes]:
        try:
            kept = await self._store.documents.get(self._tenant, name)
        except Missing:
            return 0, b""
        return kept.version, kept.text

    async def _together(self, wanted: Sequence[Wanted]) -> list[Problem]:
        """What stands against them beside everything else that the store has."""
        contents = await self._store.read()
        replaced = {(self._tenant, each.name) for each in wanted}
        # Its source is what the eye finds, and comes last, because what is there already keeps its name and prefix.
        others = [
            check(text.text, f" {text.key}")
            for text in contents.documents
            if (text.tenant, text.name) not in replaced and text.text
        ]
        owners = {each.source: self._tenant for each in wanted}
        prefixes = {tenant.name: tenant.prefix for tenant in contents.tenants if tenant.prefix}
        found = check_together([*others, *(each.checked for each in wanted)], Tenancy(owners, prefixes))
        return [problem for each in wanted for problem in found.get(each.source, ())]

    async def _put(self, wanted: Sequence[Wanted]) -> tuple[dict[str, int], list[str], int]:
        """The versions that they are now. When one fails after others were written: why, which are left, and the exit
        code of that."""
        done: dict[str, int] = {}
        for number, each in enumerate(wanted, 1):
            try:
                done[each.name] = await self._store.documents.put(
                    self._tenant, each.name, each.text, expected=each.version, author=author(), action="apply"
                )
            except StoreError as error:
                if not done:
                    raise
                left = [f"{other.name}: not written" for other in wanted[number:]]
                return done, [str(error), *left], code_of(error)
        return done, [], 0

    async def _announced(self, lines: list[str], data: dict[str, Any], changed: bool, code: int = 0) -> Outcome:
        warnings = await self._told() if changed else []
        return Outcome([*lines, *warnings], {**data, "warnings": warnings}, code)


def read(source: str) -> bytes:
    """A file, or standard input for `-`; no more of it than could be a document."""
    if source == "-":
        return sys.stdin.buffer.read(MAX_READ)
    with open(source, "rb") as file:
        return file.read(MAX_READ)


def write_all(texts: Mapping[Path, bytes], directory: Path) -> Outcome:
    directory.mkdir(parents=True, exist_ok=True)
    other = [path for path, text in texts.items() if path.exists() and path.read_bytes() != text]
    if other:
        lines = [f"{path} is there already and says something else." for path in other]
        return Outcome([*lines, "Nothing was written."], {"written": []}, 1)
    for path, text in texts.items():
        path.write_bytes(text)
    written = [str(path) for path in texts]
    return Outcome(written, {"written": written})
