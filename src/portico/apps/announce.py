"""`portico announce`, and what every command does that has changed a store: tell the gateways."""

from __future__ import annotations

import asyncio

from portico.notify.fanout import Senders
from portico.notify.open import open_senders
from portico.settings import Settings
from portico.store.open import open_source


def announce(settings: Settings) -> tuple[list[str], int]:
    """Tell every notifier of the settings the store's revision: lines for people, and the exit code."""
    return asyncio.run(_announce(settings))


async def _announce(settings: Settings) -> tuple[list[str], int]:
    if not settings.notify:
        return ["No notifier is set: give --notify URL or PORTICO_NOTIFY."], 2
    store = open_source(settings.store)
    try:
        revision = await store.revision()
    finally:
        await store.close()
    warnings = await tell(settings, revision)
    told = len(settings.notify) - len(warnings)
    return [*warnings, f"Announced revision {revision} by {told} of {len(settings.notify)}."], 1 if warnings else 0


async def tell(settings: Settings, revision: str) -> list[str]:
    """Warnings, never an error: what was changed is changed, and polling brings it to whoever did not hear."""
    senders = Senders(open_senders(settings.notify, settings.admin_token))
    try:
        return await senders.announce(revision)
    finally:
        await senders.close()
