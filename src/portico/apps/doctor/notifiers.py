"""Notifiers: whether each would take a message. None is sent."""

from __future__ import annotations

import asyncio

from portico.apps.doctor.finding import Finding
from portico.notify.notifier import NotifyError, Sender
from portico.notify.open import open_senders
from portico.settings import Settings

PATIENCE = 9.0


async def notifiers(settings: Settings) -> list[Finding]:
    if not settings.notify:
        return [Finding("notifier", f"none is set; gateways look every {settings.patience:g} s")]
    senders = open_senders(settings.notify, settings.admin_token)
    found = await asyncio.gather(*(_reached(sender) for sender in senders))
    for sender in senders:
        await sender.close()
    return list(found)


async def _reached(sender: Sender) -> Finding:
    why = f"it took longer than {PATIENCE:g} s"
    try:
        async with asyncio.timeout(PATIENCE):
            await sender.reach()
        return Finding("notifier", f"{sender.shown} would take a message")
    except NotifyError as error:
        why = str(error)
    except TimeoutError:
        pass
    mend = "See that it runs, and that its URL is right; until then changes are seen by polling"
    return Finding("notifier", f"{sender.shown}: {why}", mend)
