"""What commands that change a store have in common."""

from __future__ import annotations

from portico.apps.announce import tell
from portico.settings import Settings
from portico.store.open import open_store
from portico.store.store import Store, StoreError


class Desk:
    """The store of the settings, open until `close`, for the work on one tenant's things."""

    def __init__(self, settings: Settings, tenant: str) -> None:
        self._settings = settings
        self._tenant = tenant
        self._store: Store = open_store(settings.store)

    async def close(self) -> None:
        await self._store.close()

    async def _told(self) -> list[str]:
        """Tell the gateways what was changed: a line for each notifier that did not take it. What was changed is
        changed, so a store that is lost now is no failure of that."""
        if not self._settings.notify:
            return []
        try:
            revision = await self._store.revision()
        except StoreError as error:
            return [f"The gateways were not told, and see the change when they look next: {error}"]
        return await tell(self._settings, revision)
