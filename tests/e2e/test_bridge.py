"""Clients and MCP servers that share no era, with real SDK clients: what a server wants to know, its client answers."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.e2e.bridged import (
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

FEW = [Client("python", "legacy"), Client("python", "modern"), Client("typescript-v2", "modern")]
CLIENTS = [
    *FEW,
    Client("python", "legacy", "sse"),
    Client("typescript-v1", "legacy"),
    Client("typescript-v2", "legacy"),
]
SERVERS = ("http-legacy", "http-modern")


@pytest.fixture(scope="module", params=[1, 2], ids=["one-worker", "two-workers"])
def workers(request: pytest.FixtureRequest) -> int:
    return request.param


@pytest.fixture(scope="module")
def place(request: pytest.FixtureRequest, workers: int, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    with bridged(tmp_path_factory.mktemp("bridge"), request.param, workers) as found:
        yield found


@crossed(SERVERS, CLIENTS)
def test_a_client_answers_whatever_a_server_asks_and_hears_of_progress(place: Place, client: Client) -> None:
    check_that_it_answers(place, client)


@pytest.mark.parametrize("action", ["decline", "cancel"])
@crossed(SERVERS, FEW)
def test_a_server_hears_that_a_client_will_not_say(place: Place, client: Client, action: str) -> None:
    check_that_it_may_refuse(place, client, action)


@crossed(SERVERS, CLIENTS)
def test_changes_and_log_messages_are_told_across_the_eras(place: Place, client: Client) -> None:
    check_that_it_is_told_of_changes_and_logs(place, client)


@crossed(SERVERS, FEW)
def test_a_call_that_its_client_gives_up_is_cancelled_at_the_server(
    place: Place, client: Client, tmp_path: Path
) -> None:
    check_that_it_cancels(place, client, tmp_path)
