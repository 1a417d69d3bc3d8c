"""`portico secret …`: sealed secrets of a store. Values go in and are never shown; nothing here gives one back."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from portico.apps.author import author
from portico.apps.desk import Desk
from portico.apps.outcome import Outcome
from portico.apps.printing import moment, table
from portico.store.records import SealedSecret
from portico.store.sealing import KeyRing, Unsealable, judge_secret_name, new_keys, read_keys, write_keys
from portico.store.secrets import MOST_BYTES, MOST_SECRETS
from portico.store.store import StoreError

ATTEMPTS = 5


class Secrets(Desk):
    async def set(self, name: str, ask: Callable[[], bytes]) -> Outcome:
        """`ask` gives the value, once it is known that it can be kept."""
        judge_secret_name(name)
        found = await self._store.secrets.list()
        mine = [secret.name for secret in found if secret.tenant == self._tenant]
        if len(mine) >= MOST_SECRETS and name not in mine:
            raise StoreError(f"the tenant {self._tenant} has {MOST_SECRETS} secrets already", "Delete one of them")
        ring = read_keys(self._key_file)
        made = ring is None
        if ring is None:
            if found:
                raise StoreError(
                    f"the store has secrets already, and their key file is not {self._key_file}",
                    "Bring it here from where it was made, or name it with --key-file",
                )
            ring = new_keys(self._key_file)
        value = _judged(ask())
        if made:
            write_keys(ring, new=True)
        sealed, key_id = ring.seal(self._tenant, name, value)
        await self._store.secrets.put(self._tenant, name, sealed, key_id, author=author())
        lines = [f"{name}: sealed with the key {key_id}"]
        if made:
            lines.append(f"{ring.file} was made. Keep a copy, and bring it to every gateway: nothing else opens them.")
        data = {"name": name, "key": key_id, "keyFile": str(ring.file), "keyFileMade": made}
        return await self._announced(lines, data)

    async def listed(self) -> Outcome:
        """Names and whether the key file here opens them; no value."""
        ring = read_keys(self._key_file)
        data = [
            {
                "name": secret.name,
                "key": secret.key_id,
                "opens": _opens(ring, secret),
                "updated": moment(secret.updated),
            }
            for secret in await self._store.secrets.list(self._tenant)
        ]
        return Outcome(table([{**each, "opens": "yes" if each["opens"] else "no"} for each in data]), data)

    async def delete(self, name: str) -> Outcome:
        await self._store.secrets.delete(self._tenant, name, author=author())
        return await self._announced([f"{name}: deleted"], {"name": name})

    async def rekey(self, *, new: bool, seal: bool, drop: bool) -> Outcome:
        """Of all tenants: a new key in front, all secrets sealed with the first key, keys that seal nothing removed."""
        ring = read_keys(self._key_file)
        if ring is None:
            raise StoreError(f"there is no key file {self._key_file}", "portico secret set makes one")
        lines: list[str] = []
        if new:
            ring = ring.with_new()
            write_keys(ring)
            lines.append(f"{ring.file} has the new key {ring.keys[0].id}.")
        done, failed = await self._sealed_anew(ring) if seal else (0, [])
        if seal:
            lines.append(f"{done} secrets were sealed with the key {ring.keys[0].id}.")
        lines += failed
        dropped: list[str] = []
        if drop and not failed:
            ring, dropped = await self._dropped(ring)
            lines.append(f"Keys that seal nothing any more were removed: {', '.join(dropped) or 'none'}.")
        data = {"key": ring.keys[0].id, "sealed": done, "failed": failed, "dropped": dropped, "keys": list(ring.ids)}
        return await self._announced(lines, data, 1 if failed else 0)

    async def _sealed_anew(self, ring: KeyRing) -> tuple[int, list[str]]:
        """How many were sealed anew, and a line for each that cannot be."""
        done = 0
        failed: dict[str, str] = {}
        for _ in range(ATTEMPTS):
            others = [secret for secret in await self._store.secrets.list() if secret.key_id != ring.keys[0].id]
            others = [secret for secret in others if f"{secret.tenant}/{secret.name}" not in failed]
            for secret in others:
                try:
                    sealed, key_id = ring.seal(secret.tenant, secret.name, ring.open(secret))
                except Unsealable as error:
                    failed[f"{secret.tenant}/{secret.name}"] = str(error)
                    continue
                # Whoever set it meanwhile knows better what it is, so the next round looks again.
                done += await self._store.secrets.reseal(secret, sealed, key_id, author=author())
            if not others:
                break
        return done, [f"{name} cannot be opened: {why}. It stays as it is." for name, why in sorted(failed.items())]

    async def _dropped(self, ring: KeyRing) -> tuple[KeyRing, list[str]]:
        less = ring.keeping({secret.key_id for secret in await self._store.secrets.list()})
        if less != ring:
            write_keys(less)
        return less, [id for id in ring.ids if id not in less.ids]

    @property
    def _key_file(self) -> Path:
        path = self._settings.key_path
        if path is None:
            raise StoreError("there is no place for the key file", "Name one with --key-file FILE")
        return path

    async def _announced(self, lines: list[str], data: dict[str, object], code: int = 0) -> Outcome:
        warnings = await self._told()
        return Outcome([*lines, *warnings], {**data, "warnings": warnings}, code)


def _judged(value: bytes) -> str:
    if len(value) > MOST_BYTES:
        raise StoreError("the secret is larger than 64 KiB", "Nothing that large fits a header")
    try:
        text = value.decode().removesuffix("\n").removesuffix("\r")
    except UnicodeDecodeError:
        raise StoreError(
            "the secret is no text in UTF-8", "Encode it as its reader expects it, such as Base64"
        ) from None
    if not text:
        raise StoreError("the secret is empty", "Give its value on standard input, or name a file with --from")
    return text


def _opens(ring: KeyRing | None, secret: SealedSecret) -> bool:
    try:
        return ring is not None and bool(ring.open(secret))
    except Unsealable:
        return False
