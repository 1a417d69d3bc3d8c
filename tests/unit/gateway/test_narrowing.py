"""What a caller sees who may use some tools only, in lists that others wrote."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portico.config.patterns import compile_patterns
from portico.gateway.routing.narrowing import only_allowed

NAMES = st.sampled_from(["a", "b", "secret", "Secret"])
TOOL = st.fixed_dictionaries({"name": NAMES}, optional={"x": st.integers() | st.text(max_size=5)})
TOOLS = st.lists(TOOL, max_size=6)


@given(TOOLS, st.dictionaries(st.sampled_from(["nextCursor", "_meta", "ttlMs"]), st.text(max_size=4)))
def test_of_a_list_only_what_is_allowed_is_left_and_the_rest_of_it_is_as_it_was(tools: list, more: dict) -> None:
    result = only_allowed(json.dumps({"tools": tools, **more}).encode(), compile_patterns(["*", "!secret"]))
    assert json.loads(result) == {"tools": [tool for tool in tools if tool["name"] != "secret"], **more}


def test_numbers_keep_their_digits_and_no_cache_shares_the_list() -> None:
    raw = b'{"tools":[{"name":"a","x":12345678901234567890.10}],"cacheScope":"public"}'
    assert only_allowed(raw, compile_patterns(["a"])) == raw.replace(b'"public"', b'"private"')


@pytest.mark.parametrize(
    "raw", [b"[]", b"{}", b'{"tools":{}}', b'{"tools":[7]}', b'{"tools":[{"name":7}]}', b'{"tools":' + b"[" * 100_000]
)
def test_a_list_that_cannot_be_read_is_an_error(raw: bytes) -> None:
    with pytest.raises(ValueError, match="cannot be read"):
        only_allowed(raw, compile_patterns(["a"]))


def test_a_tool_without_a_name_is_nobodys() -> None:
    assert only_allowed(b'{"tools":[{"title":"secret"}]}', compile_patterns(["*", "!secret"])) == b'{"tools":[]}'
