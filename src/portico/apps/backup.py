"""`portico backup` and `portico restore`: everything that a store keeps, in a file and back again."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import aclosing
from pathlib import Path

from portico.apps.author import author
from portico.apps.desk import Desk
from portico.apps.outcome import Outcome
from portico.apps.printing import moment
from portico.settings import Settings
from portico.store.backup import reading_backup, writing_backup
from portico.store.records import DEFAULT_TENANT, Row, Stamp

WORDS = {"audit": "entries of the audit", "secrets": "sealed secrets", "api_keys": "API keys"}
KEY_FILE = "The sealed secrets open with their key file alone, which is not in the backup: keep a copy of it elsewhere."


class Backup(Desk):
    """`ask` shows lines, asks a question and says whether to go on."""

    def __init__(self, settings: Settings, ask: Callable[[list[str], str], bool]) -> None:
        super().__init__(settings, DEFAULT_TENANT)
        self._ask = ask

    async def write(self, path: Path) -> Outcome:
        stamp: Stamp | None = None
        with writing_backup(path) as backup:
            async with aclosing(self._store.rows.read()) as rows:
                async for item in rows:
                    backup.add(item)
                    stamp = item if isinstance(item, Stamp) else stamp
        assert stamp is not None
        lines = [f"{path}: {_counted(backup.counts)}, of revision {stamp.revision}"]
        if backup.counts["secrets"]:
            lines.append(KEY_FILE)
        return Outcome(lines, {"file": str(path), **_told(stamp, backup.counts)})

    async def restore(self, path: Path, replace: bool) -> Outcome:
        """The file is read whole before anything is written."""
        with reading_backup(path) as backup:
            counted = _counted(backup.counts)
            if replace and not self._ask(
                [f"{path}: {counted}, of {moment(backup.stamp.at)}"],
                "Remove everything that the store has now, and put this in its place?",
            ):
                return Outcome(["Nothing was changed."], {"restored": False}, 1)
            keys: set[str] = set()
            rows = _noting(backup.rows(), keys)
            await self._store.rows.restore(backup.stamp, rows, replace=replace, author=author())
        warnings = await self._told()
        lines = [f"Restored {counted}, as they were at {moment(backup.stamp.at)}."]
        if keys:
            lines.append(
                f"The secrets open with the key file that has {', '.join(sorted(keys))}: bring it to every gateway."
            )
        data = {"restored": True, **_told(backup.stamp, backup.counts), "keys": sorted(keys), "warnings": warnings}
        return Outcome([*lines, *warnings], data)


def _noting(rows: Iterator[Row], keys: set[str]) -> Iterator[Row]:
    """With which keys the secrets among them are sealed."""
    for row in rows:
        if row.table == "secrets":
            keys.add(str(row.values["key_id"]))
        yield row


def _told(stamp: Stamp, counts: Mapping[str, int]) -> dict[str, object]:
    return {"revision": stamp.revision, "at": moment(stamp.at), "schema": stamp.schema, "counts": dict(counts)}


def _counted(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {WORDS.get(table, table)}" for table, count in counts.items()) or "nothing"
