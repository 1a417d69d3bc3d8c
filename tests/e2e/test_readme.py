"""Everything that the README shows, done as a reader would do it, against a running `portico example`."""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.clients.programs import INSPECTOR, NODE
from tests.e2e.running import DEMO, ROOT, copy_examples, gateway, said_url, start, stop, wait_until_ready
from tests.fakes.ports import free_ports

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(120)]

GATEWAY = "http://127.0.0.1:5235"
BIN = Path(sys.executable).parent

# Commands that are shown and not executed as they stand, and why.
EXCUSED = {
    "make run": "it is `portico example`, which all of this runs against, after an installation",
    "make test": "it is what runs this test",
    "claude mcp add --transport http": "Claude Code is not one of the tests' clients",
    "npx @modelcontextprotocol/inspector": "npx would download it; the same arguments go to the locked Inspector",
    ".venv/bin/portico gateway": "it listens on the default ports; the same document is served on a free one",
}


@dataclass(frozen=True)
class Block:
    language: str
    text: str
    line: int


def blocks(page: Path) -> list[Block]:
    text = page.read_text()
    found = re.finditer(r"^```(\w*)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    return [Block(match[1], match[2], text.count("\n", 0, match.start()) + 1) for match in found]


README = blocks(ROOT / "README.md")


def shown(language: str, word: str) -> Block:
    """The one block of a language that has this word."""
    (block,) = [block for block in README if block.language == language and word in block.text]
    return block


@dataclass(frozen=True)
class Example:
    gateway: str
    demo: str
    said: Path
    process: subprocess.Popen[bytes]

    def local(self, text: str) -> str:
        """What the README says, at the addresses of this test."""
        return text.replace(GATEWAY, self.gateway).replace(DEMO, self.demo)


@pytest.fixture
def example(tmp_path: Path) -> Iterator[Example]:
    """`portico example` on free ports, in a copy of the examples that calls the demo on its free port."""
    port, demo_port = free_ports(2)
    demo, said = f"http://127.0.0.1:{demo_port}", tmp_path / "said.txt"
    copy_examples(tmp_path, demo)
    process = start(["example", "--port", str(port), "--demo-port", str(demo_port), "--admin", "127.0.0.1:0"], said)
    try:
        url = said_url(said, r"portico gateway: (http://[^\s,]+)", process)
        wait_until_ready(url, process)
        said_url(said, r"running on (http://\S+)", process)
        yield Example(url, demo, said, process)
    finally:
        assert stop(process) == 0


def run(command: list[str], **more: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, cwd=more.get("cwd"))
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def without_chance(text: str) -> str:
    """Times, durations, ports and ids replaced, because they differ from run to run."""
    text = re.sub(r"\d\d:\d\d:\d\d", "TIME", text)
    text = re.sub(r"\d+\.\d+ ms", "MS", text)
    text = re.sub(r"127\.0\.0\.1:\d+", "DEMO", text)
    return re.sub(r"[0-9a-f]{12}-[0-9a-f]+", "CALL", text)


def test_every_command_of_the_readme_is_run_or_excused() -> None:
    run_here = ("curl -s", ".venv/bin/portico check")
    for block in README:
        if block.language != "sh":
            continue
        for command in re.sub(r"\\\n", "", block.text).splitlines():
            if command[:1] != " ":
                assert command.startswith((*EXCUSED, *run_here)), f"line {block.line}: {command}"
    assert {block.language for block in README} <= {"sh", "python", "json", "yaml", "text"}


def test_the_session_prints_what_the_readme_shows(example: Example, tmp_path: Path) -> None:
    program = tmp_path / "session.py"
    program.write_text(example.local(shown("python", "Client").text))
    assert run([sys.executable, str(program)]) == shown("text", "18 tools").text
    expected = without_chance(shown("text", "server/discover").text).splitlines()
    # The access log is written a few times a second.
    said_url(example.said, "(call .* resources/read .*)", example.process)
    written = [line for line in example.said.read_text().splitlines() if " call /" in line]
    assert [without_chance(line) for line in written] == expected


def test_the_call_by_hand_answers_what_the_readme_shows(example: Example) -> None:
    answer = run(["bash", "-c", example.local(shown("sh", "curl -s").text)])
    assert json.loads(without_chance(answer)) == json.loads(without_chance(shown("json", '"result"').text))


def test_an_endpoint_has_a_page_for_people(example: Example) -> None:
    assert "get_user_by_email" in run(["curl", "-s", f"{example.gateway}/users"])


def test_the_document_of_the_readme_is_served(example: Example, tmp_path: Path) -> None:
    documents = tmp_path / "documents"
    documents.mkdir()
    (documents / "weather.yaml").write_text(example.local(shown("yaml", "weather").text))
    command = next(line for line in shown("sh", "portico check").text.splitlines() if " check " in line)
    assert run([str(BIN / "portico"), *command.split()[1:]], cwd=str(tmp_path)) == "1 document: all good\n"
    with gateway(documents, tmp_path / "gateway.txt") as (url, _):
        connection = ["--server-url", f"{url}/weather/mcp", "--transport", "http"]
        asked = ["--method", "tools/call", "--tool-name", "get_forecast", "--tool-args-json", '{"city": "Århus"}']
        answer = inspect([*connection, *asked])
    echoed = json.loads(answer)["result"]["structuredContent"]
    assert (echoed["rawPath"], echoed["rawQuery"]) == ("/echo/forecast/%C3%85rhus", "days=3")


def test_the_inspector_command_lists_the_tools(example: Example) -> None:
    command = example.local(shown("sh", "npx").text).split()
    listed = json.loads(inspect(command[command.index("--cli") + 1 :]))
    assert len(listed["result"]["tools"]) == 18


def inspect(arguments: list[str]) -> str:
    return run([str(NODE), str(INSPECTOR), "--cli", *arguments, "--format", "json", "--quiet"])


def test_the_client_files_of_the_readme_name_the_endpoint(example: Example) -> None:
    files = [json.loads(block.text) for block in README if block.language == "json" and '"result"' not in block.text]
    urls = [server["url"] for file in files for servers in file.values() for server in servers.values()]
    assert urls == [f"{GATEWAY}/users/mcp"] * 2


def test_the_readme_names_every_command_of_the_excuses() -> None:
    text = "".join(block.text for block in README)
    assert [command for command in EXCUSED if command not in text] == []
