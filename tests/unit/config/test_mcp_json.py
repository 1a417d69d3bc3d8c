"""A desktop client's file of servers becomes a document, and nothing that it says is lost without a word."""

import json

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from portico.config.check import check
from portico.config.mcp_json import import_mcp_json

CLAUDE = {
    "mcpServers": {
        "files": {"command": "npx", "args": ["-y", "@modelcontextprotocol/server-filesystem", "/data"]},
        "GitHub": {
            "type": "http",
            "url": "https://mcp.example.com/mcp",
            "headers": {"Authorization": "Bearer ${GH_TOKEN}"},
        },
        "old": {"type": "sse", "url": "http://127.0.0.1:5237/sse"},
    }
}
CURSOR = {"mcpServers": {"a": {"url": "https://a.example/mcp", "headers": {"X-Key": "${env:A_KEY}"}, "disabled": True}}}
CODE = b"""{
  // What VS Code writes, with comments and a last comma.
  "inputs": [{"type": "promptString", "id": "key", "password": true}],
  "servers": {
    "b": {"type": "stdio", "command": "uvx", "args": ["server", "${workspaceFolder}"], "env": {"KEY": "${input:key}"},},
  },
}"""


def imported(value: object) -> tuple[dict[str, object], list[str]]:
    text = value if isinstance(value, bytes) else json.dumps(value, indent=1).encode()
    result = import_mcp_json(text, "mcp.json")
    assert result.text is not None
    assert check(result.text, "out.yaml").document is not None
    return yaml.safe_load(result.text), [problem.code for problem in result.problems]


def test_the_servers_of_claude_become_servers_with_routers() -> None:
    document, codes = imported(CLAUDE)
    assert document["routers"] == [
        {"prefix": "/files", "server": "files"},
        {"prefix": "/github", "server": "github"},
        {"prefix": "/old", "server": "old"},
    ]
    servers = document["mcpServers"]
    assert isinstance(servers, dict)
    assert servers["files"] == CLAUDE["mcpServers"]["files"]
    assert servers["github"]["headers"] == {"Authorization": "Bearer {{ secrets.GH_TOKEN }}"}
    assert servers["old"] == {"type": "sse", "url": "http://127.0.0.1:5237/sse"}
    assert codes == ["renamed", "secret-wanted"]


def test_what_cursor_says_beyond_a_document_is_noted_with_its_line() -> None:
    result = import_mcp_json(json.dumps(CURSOR, indent=1).encode(), "mcp.json")
    notes = {problem.code: problem for problem in result.problems}
    assert "switched off" in notes["not-carried-over"].message
    assert notes["not-carried-over"].line == 8
    assert "A_KEY" in notes["secret-wanted"].message


def test_the_comments_and_questions_of_vs_code_are_understood() -> None:
    document, codes = imported(CODE)
    servers = document["mcpServers"]
    assert isinstance(servers, dict)
    assert servers["b"]["env"] == {"KEY": "{{ secrets.KEY }}"}
    assert codes == ["not-carried-over", "secret-wanted"]


def test_a_literal_that_looks_like_a_credential_is_named() -> None:
    _, codes = imported(
        {"mcpServers": {"a": {"url": "https://a.example/mcp", "headers": {"Authorization": "Bearer x"}}}}
    )
    assert codes == ["credential-in-document"]


@pytest.mark.parametrize("text", [b"", b"[]", b"{}", b'{"mcpServers": []}', b"{", b'{"mcpServers": {"a": 1}, "x": 2'])
def test_another_file_is_refused_with_a_reason(text: bytes) -> None:
    result = import_mcp_json(text, "mcp.json")
    assert result.text is None
    assert [problem.severity for problem in result.problems][-1] == "error"


@given(st.binary(max_size=200) | st.recursive(st.none() | st.text() | st.integers(), lambda inner: st.dictionaries(
    st.sampled_from(["mcpServers", "a", "url", "command", "args", "env", "headers"]), inner)).map(
        lambda value: json.dumps(value).encode()))  # fmt: skip
def test_no_file_makes_the_importer_raise(text: bytes) -> None:
    import_mcp_json(text, "mcp.json")
