"""Messages of included servers: what is changed is changed everywhere, and nothing else is."""

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from portico.config.patterns import compile_patterns
from portico.gateway.protocol.aggregate import rewriting
from portico.gateway.routing.include import Alias, Include
from portico.upstream.mcp.upstream import McpSpec

ALL = compile_patterns(["*"])
INCLUDE = Include(McpSpec("t", "d", "gh", "http", url="http://x"), ALL, ALL, ALL, prefix="gh_")
OWN = "docs://one/secret-place"
PUBLIC = "docs://gh_/one/secret-place"
LINK = {"type": "resource_link", "uri": OWN, "name": "one"}
EMBEDDED = {"type": "resource", "resource": {"uri": OWN, "text": "x"}}


@pytest.mark.parametrize(
    "result",
    [
        {"content": [LINK, EMBEDDED, {"type": "text", "text": "plain"}]},
        {"contents": [{"uri": OWN, "text": "x"}]},
        {"messages": [{"role": "user", "content": LINK}, {"role": "user", "content": [EMBEDDED]}]},
        {"messages": [{"role": "user", "content": {"type": "tool_result", "content": [LINK]}}]},
        {"content": [], "_meta": {"ui": {"resourceUri": OWN}}},
        {"content": [], "_meta": {"ui/resourceUri": OWN}},
    ],
)
def test_no_place_of_a_result_keeps_the_servers_own_uri(result: dict[str, Any]) -> None:
    changed = rewriting.result_out(INCLUDE, json.dumps(result).encode())
    assert json.loads(changed) == json.loads(json.dumps(result).replace(OWN, PUBLIC))
    assert OWN.encode() not in changed


def test_an_escaped_uri_is_found_too() -> None:
    raw = b'{"content":[{"type":"resource\\u005flink","\\u0075ri":"docs:\\/\\/one"}]}'
    assert json.loads(rewriting.result_out(INCLUDE, raw))["content"][0]["uri"] == "docs://gh_/one"


def test_numbers_and_unknown_members_of_a_tool_keep_their_bytes() -> None:
    raw = b'{"x":12345678901234567890123,"name":"a","inputSchema":{"$defs":{"d":1.0e5},"type":"object"},"new":[1e2]}'
    shown = bytes(rewriting.tool_out(INCLUDE, msgspec.Raw(raw), "gh_a", Alias()))
    assert shown == raw.replace(b'"name":"a"', b'"name":"gh_a"')


def test_an_alias_changes_what_it_names_and_nothing_else() -> None:
    alias = Alias(title="T", description="D", args={"q": "what"}, annotations={"readOnlyHint": b"true"})
    tool = {
        "name": "a",
        "description": "old",
        "inputSchema": {"type": "object", "properties": {"q": {"type": "string"}, "r": {"description": "kept"}}},
        "annotations": {"openWorldHint": False},
    }
    shown = json.loads(bytes(rewriting.tool_out(INCLUDE, msgspec.Raw(json.dumps(tool).encode()), "find", alias)))
    assert shown == {
        "name": "find",
        "title": "T",
        "description": "D",
        "inputSchema": {
            "type": "object",
            "properties": {"q": {"type": "string", "description": "what"}, "r": {"description": "kept"}},
        },
        "annotations": {"openWorldHint": False, "readOnlyHint": True},
    }


def test_a_member_that_stands_twice_reaches_the_server_once() -> None:
    raw = b'{"name":"denied","arguments":{},"name":"allowed"}'
    assert rewriting.params_in(raw, {"name": "own"}) == b'{"name":"own","arguments":{}}'


def test_a_reference_is_renamed() -> None:
    raw = b'{"ref":{"type":"ref/prompt","name":"gh_p","title":"t"},"argument":{"name":"a","value":""}}'
    changed = json.loads(rewriting.reference_in(raw, "name", "p"))
    assert changed["ref"] == {"type": "ref/prompt", "name": "p", "title": "t"}


@given(
    st.recursive(
        st.none() | st.integers() | st.text(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)
    )
)
def test_whatever_a_server_answers_comes_through(value: Any) -> None:
    raw = json.dumps({"content": value, "uri": value, "_meta": value}).encode()
    assert isinstance(json.loads(rewriting.result_out(INCLUDE, raw)), dict)
