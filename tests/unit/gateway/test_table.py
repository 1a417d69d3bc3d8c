"""Paths to endpoints and doors."""

from types import SimpleNamespace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from portico.gateway.routing.table import Door, build_table

SEGMENT = st.from_regex(r"[A-Za-z0-9._~-]{1,6}", fullmatch=True) | st.sampled_from(["mcp", "sse", "message", "a"])
PREFIX = st.just("/") | st.lists(SEGMENT, min_size=1, max_size=3).map(lambda parts: "/" + "/".join(parts))
PREFIXES = st.lists(PREFIX, min_size=1, max_size=6, unique=True)


def endpoints(prefixes: list[str]) -> list[Any]:
    return [SimpleNamespace(prefix=prefix, guard=None) for prefix in prefixes]


@given(PREFIXES)
def test_every_endpoint_is_found_at_its_doors(prefixes: list[str]) -> None:
    table = build_table(endpoints(prefixes))
    doors = {f"{prefix.rstrip('/')}/{door}" for prefix in prefixes for door in ("mcp", "sse", "message")}
    for prefix in prefixes:
        for door in (Door.MCP, Door.SSE, Door.MESSAGE):
            for slash in ("", "/"):
                route = table[f"{prefix.rstrip('/')}/{door.value}{slash}".encode()]
                assert (route.endpoint.prefix, route.door) == (prefix, door)
        if prefix != "/" and prefix not in doors:
            assert table[prefix.encode()].door is Door.PAGE


@given(PREFIXES, st.binary(max_size=30) | PREFIX.map(str.encode))
def test_no_other_path_is_found(prefixes: list[str], path: bytes) -> None:
    route = build_table(endpoints(prefixes)).get(path)
    if route is not None:
        base = route.endpoint.prefix.rstrip("/").encode()
        assert path.rstrip(b"/") in (base, base + b"/" + route.door.value.encode())


def test_the_longest_prefix_wins() -> None:
    table = build_table(endpoints(["/a", "/a/b", "/a/mcp"]))
    assert table[b"/a/b/mcp"].endpoint.prefix == "/a/b"
    assert table[b"/a/mcp"].endpoint.prefix == "/a"
    assert table[b"/a/mcp/mcp"].endpoint.prefix == "/a/mcp"
