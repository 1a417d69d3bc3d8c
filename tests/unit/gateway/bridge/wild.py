"""JSON as peers write it: any members, any spelling."""

import json
from typing import Any

from hypothesis import strategies as st

NUMBERS = st.integers() | st.floats(allow_nan=False, allow_infinity=False)
VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | NUMBERS | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
PROTOCOL = "io.modelcontextprotocol/"
KNOWN = (
    "_meta", "resultType", "ttlMs", "cacheScope", "structuredContent", "tools", "content", "nextCursor", "isError",
    "inputResponses", "requestState", "arguments", "name", "uri", "capabilities", "serverInfo", "instructions",
)  # fmt: skip
META = st.dictionaries(
    st.sampled_from([f"{PROTOCOL}{name}" for name in ("serverInfo", "protocolVersion", "logLevel", "own")]) | st.text(),
    VALUES,
    max_size=4,
)


def objects(**members: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    """Objects with members that the bridge knows, some of what they should be, and with others."""
    some = st.dictionaries(st.sampled_from(KNOWN) | st.text(max_size=8), VALUES, max_size=5)
    return st.builds(lambda one, two: {**one, **two}, some, st.fixed_dictionaries({}, optional=members))


@st.composite
def spelled(draw: st.DrawFn, values: st.SearchStrategy[Any]) -> bytes:
    """The value as JSON text, with escapes and white space or without."""
    indent, ascii_only = draw(st.sampled_from([None, 1])), draw(st.booleans())
    text = json.dumps(draw(values), indent=indent, ensure_ascii=ascii_only)
    return f"{draw(st.sampled_from(['', ' ']))}{text}".encode(errors="surrogatepass")


def read(data: bytes) -> Any:
    """The value, in which numbers are the texts that they were; fails where a member comes twice."""

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        assert len(dict(pairs)) == len(pairs), pairs
        return dict(pairs)

    return json.loads(data, parse_int=str, parse_float=str, object_pairs_hook=once)
