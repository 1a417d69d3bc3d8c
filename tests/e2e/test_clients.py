"""Every real client, in every era and over every transport, against the example documents: it lists what there is,
calls, gets and reads, and the demo's own journal shows what reached the service.

With one worker every client does everything that is in the table of calls. With two it does a part of it, one of each
kind, because all that is new there is which worker answers.
"""

import uuid
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
import yaml
from tests.clients.driver import WAYS, run_driver
from tests.e2e.calls import HEADERS, Case, cases, register
from tests.e2e.running import EXAMPLES, Running, running

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(240)]

LISTS = ("listTools", "listPrompts", "listResources", "listTemplates")
PATHS = {"http": "mcp", "sse": "sse"}


@pytest.fixture(scope="module")
def one(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with running(tmp_path_factory.mktemp("one"), "--workers", "1") as found:
        yield found


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with running(tmp_path_factory.mktemp("two"), "--workers", "2") as found:
        yield found


def listed(endpoint: str) -> dict[str, list[str]]:
    """What each list of an endpoint names, according to its document."""
    document = yaml.safe_load((EXAMPLES / f"{endpoint.strip('/')}.yaml").read_text())
    resources = document.get("resources", [])
    return {
        "listTools": [tool["name"] for tool in document["tools"]],
        "listPrompts": [prompt["name"] for prompt in document.get("prompts", [])],
        "listResources": [resource["uri"] for resource in resources if "uri" in resource],
        "listTemplates": [resource["uriTemplate"] for resource in resources if "uriTemplate" in resource],
    }


def names(answer: dict[str, Any]) -> list[str]:
    (entries,) = (value for value in answer["result"].values() if isinstance(value, list))
    return [entry.get("uriTemplate") or entry.get("uri") or entry["name"] for entry in entries]


class Conversation:
    """One client in one of its ways, on the endpoints of the examples."""

    def __init__(self, examples: Running, way: tuple[str, str, str]) -> None:
        self.examples = examples
        self.kind, self.mode, self.transport = way

    def perform(self, endpoint: str, operations: Sequence[Any]) -> list[dict[str, Any]]:
        url = f"{self.examples.gateway}{endpoint}/{PATHS[self.transport]}"
        return run_driver(
            self.kind, url, operations, mode=self.mode, transport=self.transport, headers=HEADERS, timeout=200
        )

    def faults(self, table: Sequence[Case]) -> list[str]:
        """Lists every list and makes the calls of one endpoint; says what was wrong with any of it."""
        endpoint = table[0].endpoint
        wanted = {name: found for name, found in listed(endpoint).items() if found}
        before = len(self.examples.lines())
        answers = self.perform(endpoint, [*({"op": name} for name in wanted), *(case.operation for case in table)])
        lists, answers = answers[: len(wanted)], answers[len(wanted) :]
        found = [
            f"{name}: {answer}"
            for (name, entries), answer in zip(wanted.items(), lists, strict=True)
            if "result" not in answer or names(answer) != entries
        ]
        for case, answer in zip(table, answers, strict=True):
            found += [f"{case.name}: {fault}" for fault in case.faults(answer, self.modern)]
        return found + self._sent_faults(table, before)

    def _sent_faults(self, table: Sequence[Case], before: int) -> list[str]:
        sent = [case for case in table if case.sent is not None]
        lines = self.examples.lines(before + len(sent))[before:]
        found = [] if len(lines) == len(sent) else [f"{len(lines)} requests reached the service, not {len(sent)}"]
        for case, line in zip(sent, lines, strict=False):
            assert case.sent is not None
            found += [f"{case.name}: {fault}" for fault in case.sent.faults(line)]
        return found

    @property
    def modern(self) -> bool | None:
        """Which era the answers are of; None where the client decides by itself and does not say."""
        if self.transport == "sse" or self.mode == "legacy":
            return False
        return True if self.mode == "modern" else None


def table(examples: Running) -> list[Case]:
    mark = uuid.uuid4().hex[:8]
    return cases(mark, register(examples.demo, mark))


# Of each kind of operation one, and of tools those whose requests and answers differ most.
PART = (
    "get_user_by_email",
    "register_user",
    "upload_avatar",
    "get_avatar",
    "compare",
    "users://guide",
    "users://role/admin",
    "users://nothing",
)


def part(found: Sequence[Case]) -> list[Case]:
    chosen = [case for case in found if (case.operation.get("name") or case.operation["uri"]) in PART]
    first = {case.name: case for case in reversed(chosen)}
    return [case for case in found if first.get(case.name) is case]


# The Inspector starts anew for each operation: in one way it performs all of them, in the others the part below. That
# clients choose the era by themselves is the same with two workers.
WHOLE = [way for way in WAYS if way[0] != "inspector" or way[1] == "modern"]
PARTLY = [way for way in WAYS if way[0] != "fastmcp" and way[1] != "auto"]


@pytest.mark.parametrize("way", WHOLE, ids="-".join)
def test_a_client_lists_calls_gets_and_reads_everything_in_the_examples(
    one: Running, way: tuple[str, str, str]
) -> None:
    conversation, every = Conversation(one, way), table(one)
    faults = []
    for endpoint in ("/users", "/echo"):
        faults += conversation.faults([case for case in every if case.endpoint == endpoint])
    assert faults == []


@pytest.mark.parametrize("way", PARTLY, ids="-".join)
def test_a_client_is_served_by_two_workers_as_by_one(two: Running, way: tuple[str, str, str]) -> None:
    chosen = part(table(two))
    assert len(chosen) == len(PART)
    assert Conversation(two, way).faults(chosen) == []
