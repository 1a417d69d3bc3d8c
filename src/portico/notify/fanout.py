"""Several senders as one, and several receivers as one."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from portico.notify.listening import Listening
from portico.notify.notifier import PATIENCE, Hear, NotifyError, Receiver, Sender, Standing

# Names are looked up, sentinels asked and every address posted to, each with a patience of its own.
_MOST = 3 * PATIENCE


class Senders:
    def __init__(self, senders: Sequence[Sender]) -> None:
        self._senders = senders

    async def announce(self, revision: str) -> list[str]:
        """Tell all at once. What failed, in words: the change is made, and polling brings it to whoever missed it."""
        told = await asyncio.gather(*(_tell(sender, revision) for sender in self._senders))
        return [words for words in told if words is not None]

    async def close(self) -> None:
        await asyncio.gather(*(sender.close() for sender in self._senders))


async def _tell(sender: Sender, revision: str) -> str | None:
    try:
        await asyncio.wait_for(sender.announce(revision), _MOST)
    except NotifyError as error:
        return f"{sender.shown}: {error}"
    except TimeoutError:
        return f"{sender.shown}: it took longer than {_MOST:g} s"
    return None


class Receivers:
    def __init__(self, receivers: Sequence[Receiver], hear: Hear) -> None:
        self._listening = [Listening(receiver, hear) for receiver in receivers]

    @property
    def standings(self) -> list[Standing]:
        return [each.standing for each in self._listening]

    async def run(self) -> None:
        """For ever, also when there is nobody to listen to."""
        await asyncio.gather(*(each.run() for each in self._listening), asyncio.get_running_loop().create_future())
