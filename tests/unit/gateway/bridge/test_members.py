"""Whatever bytes a peer wrote are taken apart, or are nothing; what is in them keeps its bytes."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from tests.unit.gateway.bridge.wild import VALUES, objects, read, spelled

from portico.gateway.protocol.bridge.members import encode, members_of, value_of
from portico.gateway.protocol.bridge.parameters import headers_of, mirrors_in


@given(spelled(objects()))
def test_members_keep_their_bytes(body: bytes) -> None:
    found = members_of(body)
    assert all(bytes(value) in body for value in found.values())
    assert read(encode(found)) == read(body)


@given(st.binary() | spelled(VALUES))
def test_what_is_no_object_has_no_members(body: bytes) -> None:
    if not isinstance(value_of(body), dict):
        assert members_of(body) == {}


SCHEMAS = st.recursive(
    objects(**{"x-mcp-header": st.text(max_size=4) | VALUES}),
    lambda inner: st.fixed_dictionaries({"properties": st.dictionaries(st.text(max_size=4), inner, max_size=3)}),
    max_leaves=4,
)
TOOLS = st.lists(objects(name=st.sampled_from(["a", "b"]), inputSchema=SCHEMAS), max_size=3)


@given(spelled(TOOLS | VALUES), spelled(objects(arguments=st.dictionaries(st.text(max_size=4), VALUES)) | VALUES))
def test_headers_are_made_of_what_fits_and_of_nothing_else(tools: bytes, params: bytes) -> None:
    for wanted in mirrors_in(tools).values():
        found: dict[str, Any] = headers_of(wanted, params)
        assert found.keys() <= {name for name, _ in wanted}
        assert all(value.isprintable() and value.isascii() for value in found.values())
