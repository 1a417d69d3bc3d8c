"""The store and what belongs to it: whether it answers, its schema, its clock, and the file that opens its secrets."""

from __future__ import annotations

import time

from portico.apps.doctor.finding import Finding
from portico.apps.source import open_secrets
from portico.settings import Settings, without_password
from portico.store.open import open_source, open_store
from portico.store.records import Contents, SealedSecret
from portico.store.sealing import read_keys
from portico.store.store import SchemaError, StoreError

MOST_SKEW = 30.0
"""Seconds between two clocks that do no harm: as far as those of issuers of tokens may be off."""


async def store(settings: Settings) -> tuple[list[Finding], Contents | None]:
    """And what lies in it, where it could be read."""
    shown = without_password(settings.store)
    try:
        if settings.on_files:
            return await _files(settings, shown)
        return await _database(settings, shown)
    except SchemaError as error:
        return [Finding("schema", error.message, error.mend)], None
    except StoreError as error:
        return [Finding("store", error.message, error.mend)], None


async def _files(settings: Settings, shown: str) -> tuple[list[Finding], Contents]:
    source = open_source(settings.store)
    try:
        contents = await source.read()
    finally:
        await source.close()
    found = [Finding("store", f"{shown} has {len(contents.documents)} documents")]
    return [*found, *([key_file(settings, contents.secrets)] if contents.secrets else [])], contents


async def _database(settings: Settings, shown: str) -> tuple[list[Finding], Contents]:
    from portico.db.migrations import SCHEMA

    opened = open_store(settings.store)
    try:
        contents = await opened.read()
        before = time.time()
        theirs = await opened.audit.now() / 1000
        ours = (before + time.time()) / 2
    finally:
        await opened.close()
    found = [
        Finding("store", f"{shown} has {len(contents.documents)} documents, revision {contents.revision}"),
        Finding("schema", f"this program, which was written for {SCHEMA}, works with it"),
        clock(theirs - ours),
        key_file(settings, contents.secrets),
    ]
    return found, contents


def clock(ahead: float) -> Finding:
    if abs(ahead) <= MOST_SKEW:
        return Finding("clock", f"the database's is {abs(ahead):.1f} s from this machine's")
    which = "ahead of" if ahead > 0 else "behind"
    return Finding(
        "clock",
        f"the database's is {abs(ahead):.0f} s {which} this machine's",
        "Set both by NTP: keys and tokens expire by this machine's, and changes are dated by the database's",
    )


def key_file(settings: Settings, sealed: tuple[SealedSecret, ...]) -> Finding:
    path = settings.key_path
    if path is None:
        if not sealed:
            return Finding("key file", "none is needed, because no secret is sealed")
        return Finding("key file", "there is no place for it", "Name it with --key-file FILE")
    try:
        there = read_keys(path) is not None
    except StoreError as error:
        return Finding("key file", error.message, error.mend)
    if not there and sealed:
        mend = "Bring it here from where it was made, or name it with --key-file"
        return Finding("key file", f"{path} is not there, and {len(sealed)} secrets are sealed", mend)
    if not there:
        return Finding("key file", "none is there, and none is needed, because no secret is sealed")
    _, trouble = open_secrets(path, sealed)
    for name, why in sorted(trouble.items()):
        says = f"{len(trouble)} of {len(sealed)} secrets cannot be opened, such as {name}: {why}"
        return Finding("key file", says, "Bring the file that they were sealed with, or set them anew")
    return Finding("key file", f"{path} (mode {path.stat().st_mode & 0o777:o}) opens all {len(sealed)} secrets")
