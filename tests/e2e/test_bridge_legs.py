"""The same as over HTTP, where the server of the other era is reached in another way, or is one of several."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.e2e.bridged import (
    ERAS,
    Client,
    Place,
    bridged,
    check_that_it_answers,
    check_that_it_cancels,
    check_that_it_is_told_of_changes_and_logs,
    check_that_it_may_refuse,
    crossed,
)

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(120)]

# How other clients do, tests/e2e/test_bridge.py sees.
CLIENTS = [Client("python", "legacy"), Client("typescript-v2", "modern")]
# Each worker has a process of its own of a server over stdio, so there it matters most how many workers there are.
LEGS = [
    (f"{transport}-{era}", workers)
    for transport, counts in {"stdio": (1, 2), "sse": (2,), "combined": (1, 2)}.items()
    for era in ERAS
    for workers in counts
]
# What is settled in one worker is so with two, which is the harder case.
HARDER = [leg for leg in LEGS if leg[1] == 2]
# One process of such a server knows nothing of what changes in another.
OF_ONE_TRUTH = [leg for leg in LEGS if leg[1] == 1 or leg[0] not in ("stdio-legacy", "stdio-modern", "combined-modern")]


def named(leg: tuple[str, int]) -> str:
    return f"{leg[0]}-{leg[1]}"


@pytest.fixture(scope="module")
def place(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    kind, workers = request.param
    with bridged(tmp_path_factory.mktemp("bridge"), kind, workers) as found:
        yield found


@crossed(LEGS, CLIENTS, named)
def test_a_client_answers_whatever_a_server_asks_and_hears_of_progress(place: Place, client: Client) -> None:
    check_that_it_answers(place, client)


@crossed(HARDER, CLIENTS, named)
def test_a_client_may_refuse(place: Place, client: Client) -> None:
    check_that_it_may_refuse(place, client, "decline")


@crossed(OF_ONE_TRUTH, CLIENTS, named)
def test_changes_and_log_messages_are_told_across_the_eras(place: Place, client: Client) -> None:
    check_that_it_is_told_of_changes_and_logs(place, client)


@crossed(HARDER, CLIENTS, named)
def test_a_call_that_its_client_gives_up_is_cancelled_at_the_server(
    place: Place, client: Client, tmp_path: Path
) -> None:
    check_that_it_cancels(place, client, tmp_path)
