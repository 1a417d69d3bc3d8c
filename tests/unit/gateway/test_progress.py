"""Who is told that a call is waited for."""

from dataclasses import dataclass, field
from typing import Any, cast

from portico.gateway.protocol.call import Call
from portico.gateway.protocol.progress import Progress


@dataclass
class Waiting:
    """As much of a call as progress is about."""

    call_id: str
    relayed: bool = False
    progress_token: str | None = "p"
    started: float = 0.0
    deadline: float = 60.0
    name: str = "ask"
    told: list[bytes] = field(default_factory=list)

    def notify(self, message: bytes) -> None:
        self.told.append(message)


def test_a_call_hears_every_second_that_it_is_waited_for_unless_a_server_tells_its_progress() -> None:
    times = [0.0]
    progress = Progress(lambda: times[-1])
    ours, relayed, silent = Waiting("1"), Waiting("2", relayed=True), Waiting("3", progress_token=None)
    calls: list[Any] = [ours, relayed, silent]
    first, second, third = (progress.of(cast(Call, call)) for call in calls)
    with first, second, third:
        for now in (0.5, 1.1, 1.5, 2.2):
            times.append(now)
            progress.sweep()
    assert len(ours.told) == 2
    assert b'"progress":1.1,"total":60.0' in ours.told[0]
    assert relayed.told == silent.told == []
    times.append(9.0)
    progress.sweep()
    assert len(ours.told) == 2
