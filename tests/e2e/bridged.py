"""Real SDK clients at endpoints whose server speaks the other era, and what they are asked on the way."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from tests.clients.driver import run_driver
from tests.conformance.upstreams import relayed, serving, upstream
from tests.e2e.processes import until

ERAS = ("legacy", "modern")
ANSWERS = {
    "elicitation": {
        "action": "accept",
        "content": {"username": "ada", "email": "ada@example.org", "name": "Ada", "color": "teal", "ok": True},
    },
    "sampling": "Paris",
    "roots": ["file:///home/ada"],
}
WATCHED = "test://watched-resource"
LOG = "notifications/message"
_CHANGES = {
    "tool_change": "notifications/tools/list_changed",
    "prompt_change": "notifications/prompts/list_changed",
    "resource_update": "notifications/resources/updated",
}
_ROUNDS = "test_input_required_result_"
_ASKING: dict[str, tuple[dict[str, Any], str]] = {
    "test_elicitation": (
        {"message": "Who are you?"},
        'User response: action=accept, content={"username": "ada", "email": "ada@example.org"}',
    ),
    "test_url_elicitation": ({}, "Sign in: action=accept"),
    "test_sampling": ({"prompt": "The capital of France?"}, "LLM response: Paris"),
    "test_sampling_tools": ({}, "LLM response: Paris (with weather)"),
    f"{_ROUNDS}list_roots": ({}, "roots: file:///home/ada"),
    f"{_ROUNDS}multiple_inputs": ({}, "all inputs received"),
    f"{_ROUNDS}multi_round": ({}, "Ada likes teal"),
    f"{_ROUNDS}request_state": ({}, "state-ok"),
}


@dataclass(frozen=True)
class Place:
    """An endpoint, and what stands before the names of the server's tools there."""

    url: str
    prefix: str = ""

    @property
    def watched(self) -> str:
        return WATCHED.replace("://", f"://{self.prefix}/") if self.prefix else WATCHED


@dataclass(frozen=True)
class Client:
    kind: str
    mode: str
    transport: str = "http"

    def __str__(self) -> str:
        return f"{self.kind}-{self.mode}-{self.transport}"

    def calls(self, place: Place, *operations: dict[str, Any], **answers: Any) -> list[dict[str, Any]]:
        """What each call comes to; `answers` are other ones than ANSWERS."""
        named = ({**operation, "name": place.prefix + operation["name"]} for operation in operations)
        return self.perform(
            place, *({"op": "callTool", "arguments": {}, **operation} for operation in named), **answers
        )

    def perform(self, place: Place, *operations: dict[str, Any], **answers: Any) -> list[dict[str, Any]]:
        url = place.url.removesuffix("mcp") + "sse" if self.transport == "sse" else place.url
        return run_driver(
            self.kind, url, operations, mode=self.mode, transport=self.transport, answers={**ANSWERS, **answers}
        )


def crossed(legs: Iterable[Any], clients: Iterable[Client], named: Callable[[Any], str] = str) -> pytest.MarkDecorator:
    """Each leg, whose name tells the era of its server, with each client of the other one."""
    pairs = [
        pytest.param(leg, client, id=f"{named(leg)}-{client}")
        for leg in legs
        for client in clients
        if client.mode not in named(leg)
    ]
    return pytest.mark.parametrize(("place", "client"), pairs, indirect=["place"])


@contextmanager
def bridged(folder: Path, kind: str, workers: int) -> Iterator[Place]:
    """Behind it is a server that speaks one era only, or one of each that are included: `combined-legacy` is the
    place of the legacy one among them."""
    transport, _, era = kind.partition("-")
    if transport != "combined":
        with relayed(folder, kind, workers) as url:
            yield Place(url)
        return
    with upstream(folder, "http-legacy") as legacy, upstream(folder, "stdio-modern") as modern:
        document = {
            "routers": [{"prefix": "/demo", "server": "both"}],
            "servers": [{"name": "both", "include": [{"mcpServer": one, "prefix": f"{one}-"} for one in ERAS]}],
            "mcpServers": {"legacy": legacy, "modern": modern},
        }
        with serving(folder, document, workers) as url:
            yield Place(f"{url}/demo/mcp", f"{era}-")


def check_that_it_answers(place: Place, client: Client) -> None:
    """Whatever the server asks; and that it is told of progress."""
    # Version 1 of the TypeScript SDK cannot say that it knows tools.
    names = [name for name in _ASKING if (client.kind, name) != ("typescript-v1", "test_sampling_tools")]
    asking = [{"name": name, "arguments": _ASKING[name][0]} for name in names]
    *found, stepwise = client.calls(place, *asking, {"name": "test_tool_with_progress", "progress": True})
    assert dict(zip(names, map(said, found), strict=True)) == {name: _ASKING[name][1] for name in names}
    assert [step["progress"] for step in stepwise["result"]["progress"]] == [0, 50, 100]
    assert said(stepwise) == "done"


def check_that_it_may_refuse(place: Place, client: Client, action: str) -> None:
    asking = {"name": "test_elicitation", "arguments": {"message": "Who are you?"}}
    found = client.calls(place, asking, {"name": "test_url_elicitation"}, elicitation={"action": action})
    assert [said(answer) for answer in found] == [
        f"User response: action={action}, content={{}}",
        f"Sign in: action={action}",
    ]


def check_that_it_is_told_of_changes_and_logs(place: Place, client: Client) -> None:
    calls = ["test_tool_with_logging", *(f"test_trigger_{what}" for what in _CHANGES)]
    hear = {"op": "hear", "uri": place.watched, "calls": [place.prefix + name for name in calls]}
    quiet, loud = client.perform(
        place,
        {**hear, "level": "error", "until": list(_CHANGES.values())},
        {**hear, "level": "info", "until": [*_CHANGES.values(), LOG]},
    )
    assert LOG not in told(quiet)
    logged = [message["data"] for message in told(loud)[LOG]]
    assert logged == ["Tool execution started", "Tool processing data", "Tool execution completed"]
    assert [message["uri"] for message in told(loud)["notifications/resources/updated"]] == [place.watched]


def check_that_it_cancels(place: Place, client: Client, folder: Path) -> None:
    """The server itself notes it, if the call reaches it before its client gives up, also where all of it is slow."""
    note = folder / "note.txt"
    slow = {"name": "test_slow", "arguments": {"note": str(note)}, "timeout": 3, "progress": True}
    (given_up,) = client.calls(place, slow)
    assert "error" in given_up
    until(lambda: note.exists() and note.read_text() == "cancelled", "the server was told")


def said(answer: dict[str, Any]) -> str:
    assert "result" in answer, answer
    return answer["result"]["content"][0]["text"]


def told(answer: dict[str, Any]) -> dict[str, list[Any]]:
    assert "result" in answer, answer
    return answer["result"]["told"]
