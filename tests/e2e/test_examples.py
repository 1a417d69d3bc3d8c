"""The example documents, called by a real client: the demo's own journal shows what reached it."""

import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from tests.clients.driver import run_driver
from tests.e2e.calls import HEADERS, cases, completions, register
from tests.e2e.case import Case
from tests.e2e.running import EXAMPLES, Running, running, stop

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(180)]

WAYS = [("legacy", "http"), ("auto", "http"), ("modern", "http"), ("legacy", "sse")]


@pytest.fixture(scope="module", params=[1, 2], ids=["one-worker", "two-workers"])
def examples(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with running(tmp_path_factory.mktemp("examples"), "--workers", str(request.param)) as found:
        yield found


@pytest.mark.parametrize(("mode", "transport"), WAYS, ids=["-".join(way) for way in WAYS])
def test_every_call_reaches_the_service_as_documented_and_is_answered(
    examples: Running, mode: str, transport: str
) -> None:
    mark, begun = uuid.uuid4().hex[:8], len(examples.lines())
    table = [*cases(mark, register(examples.demo, mark)), *completions()]
    examples.lines(begun + 1)
    for endpoint in ("/users", "/echo"):
        perform(examples, [case for case in table if case.endpoint == endpoint], mode, transport)


def perform(examples: Running, table: list[Case], mode: str, transport: str) -> None:
    before = len(examples.lines())
    url = f"{examples.gateway}{table[0].endpoint}/{'mcp' if transport == 'http' else 'sse'}"
    operations = [case.operation for case in table]
    answers = run_driver("python", url, operations, mode=mode, transport=transport, headers=HEADERS, timeout=90)
    modern = mode != "legacy" and transport == "http"
    faults = [
        f"{case.name}: {fault}"
        for case, answer in zip(table, answers, strict=True)
        for fault in case.faults(answer, modern)
    ]
    sent = [case for case in table if case.sent is not None]
    lines = examples.lines(before + len(sent))[before:]
    for case, line in zip(sent, lines, strict=False):
        assert case.sent is not None
        faults += [f"{case.name}: {fault}" for fault in case.sent.faults(line)]
    assert faults == []
    assert [line["path"] for line in lines] == [case.sent.path for case in sent if case.sent is not None]


def test_the_table_of_calls_has_every_tool_prompt_and_resource_of_the_examples() -> None:
    done = {(case.endpoint, case.operation.get("name") or case.operation.get("uri")) for case in cases("m", "1")}
    for path in EXAMPLES.glob("*.yaml"):
        document = yaml.safe_load(path.read_text())
        endpoint = document["routers"][0]["prefix"]
        named = [entry["name"] for kind in ("tools", "prompts") for entry in document.get(kind, ())]
        named += [entry["uri"] for entry in document.get("resources", ()) if "uri" in entry]
        assert [name for name in named if (endpoint, name) not in done] == []


def test_lists_show_what_the_documents_say(examples: Running) -> None:
    operations = [{"op": op} for op in ("serverInfo", "listTools", "listPrompts", "listResources", "listTemplates")]
    told, tools, prompts, resources, templates = (
        answer["result"] for answer in run_driver("python", f"{examples.gateway}/users/mcp", operations, mode="auto")
    )
    document = yaml.safe_load((EXAMPLES / "users.yaml").read_text())
    server = document["servers"][0]
    assert told["serverInfo"]["title"] == "Users"
    assert told["instructions"] == server["instructions"]
    assert [tool["name"] for tool in tools["tools"]] == [tool["name"] for tool in document["tools"]]
    listed = {tool["name"]: tool for tool in tools["tools"]}
    by_email = listed["get_user_by_email"]
    assert by_email["annotations"]["readOnlyHint"] is True
    assert by_email["_meta"] == {"example.com/team": "identity"}
    assert by_email["icons"][0]["mimeType"] == "image/png"
    assert by_email["inputSchema"]["properties"]["email"]["format"] == "email"
    assert by_email["outputSchema"]["additionalProperties"] is False
    assert listed["list_users"]["inputSchema"]["properties"]["role"]["enum"] == ["admin", "user"]
    assert [prompt["name"] for prompt in prompts["prompts"]] == server["prompts"]
    uris = [resource["uri"] for resource in resources["resources"]]
    uris += [template["uriTemplate"] for template in templates["resourceTemplates"]]
    assert uris == server["resources"]


def test_a_secret_stays_out_of_answers_and_logs(tmp_path: Path) -> None:
    with running(tmp_path, "--log-level", "debug") as examples:
        operations = [{"op": "callTool", "name": name, "arguments": {}} for name in ("get_secret", "get_numbers")]
        answers = run_driver("python", f"{examples.gateway}/users/mcp", operations, mode="auto")
        assert examples.lines(2)[0]["headers"]["authorization"] == "Bearer demo-token"
        assert stop(examples.process) == 0
        assert "demo-token" not in str(answers)
        assert "demo-token" not in (tmp_path / "gateway.txt").read_text()
