"""`portico migrate`: the tables of a store, made or brought to the schema of this program. No gateway does this."""

from __future__ import annotations

import asyncio

from portico.settings import Settings
from portico.store.open import migrate as run


def migrate(settings: Settings) -> None:
    """Raises StoreError when it cannot be done; nothing is changed then."""
    asyncio.run(run(settings.store))
