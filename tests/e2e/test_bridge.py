"""Clients and MCP servers that share no era, with real SDK clients: what a server wants to know, its client answers."""

from collections.abc import Iterator
from typing import Any

import pytest
from tests.clients.driver import run_driver
from tests.conformance.upstreams import relayed

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(120)]

CLIENTS = [
    ("python", "legacy", "http"),
    ("python", "legacy", "sse"),
    ("python", "modern", "http"),
    ("typescript-v1", "legacy", "http"),
    ("typescript-v2", "legacy", "http"),
    ("typescript-v2", "modern", "http"),
]
CONTENT = {"username": "ada", "email": "ada@example.org", "name": "Ada", "color": "teal", "ok": True}
ANSWERS = {
    "elicitation": {"action": "accept", "content": CONTENT},
    "sampling": "Paris",
    "roots": ["file:///home/ada"],
}
ROUNDS = "test_input_required_result_"


@pytest.fixture(scope="module", params=[1, 2], ids=["one-worker", "two-workers"])
def workers(request: pytest.FixtureRequest) -> int:
    return request.param


@pytest.fixture(scope="module", params=["http-legacy", "http-modern"])
def endpoint(request: pytest.FixtureRequest, workers: int, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Behind it is a server that speaks one era only."""
    with relayed(tmp_path_factory.mktemp("bridge"), request.param, workers) as url:
        yield url


def calls(url: str, client: tuple[str, str, str], answers: dict[str, Any], *operations: dict[str, Any]) -> list[Any]:
    kind, mode, transport = client
    url = url.removesuffix("mcp") + "sse" if transport == "sse" else url
    given = [{"op": "callTool", "arguments": {}, **operation} for operation in operations]
    return run_driver(kind, url, given, mode=mode, transport=transport, answers=answers)


def said(answer: dict[str, Any]) -> str:
    assert "result" in answer, answer
    return answer["result"]["content"][0]["text"]


@pytest.mark.parametrize("client", CLIENTS, ids="-".join)
def test_a_client_answers_whatever_a_server_asks(endpoint: str, client: tuple[str, str, str]) -> None:
    operations = [
        {"name": "test_elicitation", "arguments": {"message": "Who are you?"}},
        {"name": "test_url_elicitation"},
        {"name": "test_sampling", "arguments": {"prompt": "The capital of France?"}},
        {"name": f"{ROUNDS}list_roots"},
        {"name": f"{ROUNDS}multiple_inputs"},
        {"name": f"{ROUNDS}multi_round"},
        {"name": f"{ROUNDS}request_state"},
    ]
    if client[0] != "typescript-v1":
        operations.append({"name": "test_sampling_tools"})
    elicited, signed_in, sampled, roots, several, rounds, state, *tools = calls(endpoint, client, ANSWERS, *operations)
    assert said(elicited) == 'User response: action=accept, content={"username": "ada", "email": "ada@example.org"}'
    assert said(signed_in) == "Sign in: action=accept"
    assert said(sampled) == "LLM response: Paris"
    assert said(roots) == "roots: file:///home/ada"
    assert said(several) == "all inputs received"
    assert said(rounds) == "Ada likes teal"
    assert said(state) == "state-ok"
    assert [said(answer) for answer in tools] == ["LLM response: Paris (with weather)"] * len(tools)


@pytest.mark.parametrize("action", ["decline", "cancel"])
@pytest.mark.parametrize("client", [CLIENTS[0], CLIENTS[2], CLIENTS[5]], ids="-".join)
def test_a_server_hears_that_a_client_will_not_say(endpoint: str, client: tuple[str, str, str], action: str) -> None:
    answers = {**ANSWERS, "elicitation": {"action": action}}
    elicited, signed_in = calls(
        endpoint,
        client,
        answers,
        {"name": "test_elicitation", "arguments": {"message": "Who are you?"}},
        {"name": "test_url_elicitation"},
    )
    assert said(elicited) == f"User response: action={action}, content={{}}"
    assert said(signed_in) == f"Sign in: action={action}"


@pytest.mark.parametrize("client", CLIENTS, ids="-".join)
def test_progress_is_told_across_the_eras(endpoint: str, client: tuple[str, str, str]) -> None:
    (answer,) = calls(endpoint, client, ANSWERS, {"name": "test_tool_with_progress", "progress": True})
    assert [step["progress"] for step in answer["result"]["progress"]] == [0, 50, 100]
    assert said(answer) == "done"


@pytest.mark.parametrize("client", [CLIENTS[0], CLIENTS[2], CLIENTS[5]], ids="-".join)
def test_a_call_that_its_client_gives_up_is_cancelled_at_the_server(
    endpoint: str, client: tuple[str, str, str]
) -> None:
    counting = {"name": "test_cancelled"}
    (before,) = calls(endpoint, client, ANSWERS, counting)
    (given_up,) = calls(endpoint, client, ANSWERS, {"name": "test_slow", "timeout": 1, "progress": True})
    assert "error" in given_up
    for _ in range(20):
        (after,) = calls(endpoint, client, ANSWERS, counting)
        if int(said(after)) == int(said(before)) + 1:
            return
    raise AssertionError("the server was not told")
