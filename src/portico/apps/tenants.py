"""`portico tenant …`: who has something in a store, and which prefix is all of a tenant's."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import asdict

from portico.apps.author import author
from portico.apps.desk import Desk
from portico.apps.outcome import REFUSED, Outcome
from portico.apps.printing import moment, table
from portico.config.check import Tenancy, check, check_together
from portico.config.document import PREFIX, RESERVED_PREFIXES
from portico.config.prefix import canonical_prefix
from portico.settings import Settings
from portico.store.records import DEFAULT_TENANT, Contents, Owner
from portico.store.store import Missing, StoreError

MAX_PREFIX = 200


class Tenants(Desk):
    """`ask` shows lines, asks a question and says whether to go on."""

    def __init__(self, settings: Settings, ask: Callable[[list[str], str], bool]) -> None:
        super().__init__(settings, DEFAULT_TENANT)
        self._ask = ask

    async def listed(self) -> Outcome:
        data = [{**asdict(each), "created": moment(each.created)} for each in await self._store.tenants.list()]
        return Outcome(table(data), data)

    async def create(self, name: str, prefix: str) -> Outcome:
        return await self._put(name, prefix, f"{name}: created", new=True)

    async def prefix(self, name: str, prefix: str) -> Outcome:
        await self._found(name)
        return await self._put(name, prefix, f"{name}: {f'owns {prefix}' if prefix else 'owns no prefix'}")

    async def delete(self, name: str, force: bool) -> Outcome:
        found = await self._found(name)
        shown = {"documents": found.documents, "secrets": found.secrets, "keys": found.keys}
        # What will be refused is not worth a question.
        refused = not force and any(shown.values())
        if not refused and not self._ask(
            table([shown]), f"Remove the tenant {name}, with all versions of its documents, for good?"
        ):
            return Outcome(["Nothing was changed."], {"name": name, "deleted": False}, REFUSED)
        await self._store.tenants.delete(name, author=author(), force=force)
        warnings = await self._told()
        return Outcome([f"{name}: deleted", *warnings], {"name": name, "deleted": True, "warnings": warnings})

    async def _found(self, name: str) -> Owner:
        found = next((each for each in await self._store.tenants.list() if each.name == name), None)
        if found is None:
            raise Missing(f"there is no tenant {name[:63]}", "portico tenant list shows those that are there")
        return found

    async def _put(self, name: str, prefix: str, line: str, *, new: bool = False) -> Outcome:
        problems = _against(await self._store.read(), name, _judged(prefix)) if prefix else []
        if problems:
            return Outcome([*problems, "Nothing was changed."], {"name": name, "problems": problems}, REFUSED)
        await self._store.tenants.put(name, prefix, author=author(), new=new)
        warnings = await self._told()
        return Outcome([line, *warnings], {"name": name, "prefix": prefix, "problems": [], "warnings": warnings})


def _judged(prefix: str) -> str:
    reserved = any(prefix == each or prefix.startswith(each + "/") for each in RESERVED_PREFIXES)
    dots = {".", ".."} & set(prefix.split("/"))
    if not re.fullmatch(PREFIX, prefix) or prefix == "/" or reserved or dots or len(prefix) > MAX_PREFIX:
        raise StoreError(
            f"{prefix[:100]!r} cannot be the prefix of a tenant",
            "Write it as in a router, such as /acme; not one of " + ", ".join(RESERVED_PREFIXES),
        )
    return prefix


def _against(contents: Contents, name: str, prefix: str) -> list[str]:
    """The documents that would be served no more, should the tenant own the prefix, and who owns it already."""
    before = {each.name: each.prefix for each in contents.tenants if each.prefix}
    taken = [
        f"The prefix {prefix} is owned by the tenant {owner}."
        for owner, theirs in before.items()
        if owner != name and canonical_prefix(theirs) == canonical_prefix(prefix)
    ]
    return taken or sorted(_problems(contents, {**before, name: prefix}) - _problems(contents, before))


def _problems(contents: Contents, prefixes: Mapping[str, str]) -> set[str]:
    owners = {each.key: each.tenant for each in contents.documents if each.tenant is not None}
    checked = [check(each.text, each.key) for each in contents.documents if each.text is not None]
    found = check_together(checked, Tenancy(owners, prefixes))
    return {str(problem) for problems in found.values() for problem in problems}
