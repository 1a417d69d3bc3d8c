"""Several servers as one: every tool has a name of its own that leads back to it, or it says why it is hidden."""

import json

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from portico.config.patterns import compile_patterns
from portico.gateway.protocol.aggregate.lists import METHODS, Greeting, Lists
from portico.gateway.protocol.aggregate.merging import Merged, merge
from portico.gateway.routing.catalog import Catalog, listing
from portico.gateway.routing.include import Aggregate, Include
from portico.gateway.routing.naming import LONGEST, is_legal, prefixed_name, public_uri
from portico.upstream.mcp.upstream import McpSpec

ALL = compile_patterns(["*"])
PREFIXES = st.lists(st.from_regex(r"[A-Za-z0-9_-]{0,32}", fullmatch=True), min_size=1, max_size=4)
# Names that become alike: short ones of few letters, with what no client takes, and long ones that share a beginning.
NAMES = st.one_of(st.text("ab._é", min_size=1, max_size=3), st.text("ab", max_size=3).map(lambda end: "l" * 70 + end))
SERVERS = st.lists(st.lists(NAMES, max_size=6), min_size=4, max_size=4)


def merged(prefixes: list[str], servers: list[list[str]], own: list[str], kind: str, identity: str) -> Merged:
    """Of servers that have these names, in a document that has its own."""
    specs = [McpSpec("t", "d", f"server-{number}", "http") for number in range(len(prefixes))]
    includes = tuple(Include(spec, ALL, ALL, ALL, prefix) for spec, prefix in zip(specs, prefixes, strict=True))
    method = next(name for name, (_, key, _) in METHODS.items() if key == kind)
    found = [Lists(Greeting(), {method: tuple(entry(identity, name) for name in names)}) for names in servers]
    lists = {name: listing(key, [], [], 1000) for name, (_, key, _) in METHODS.items()}
    mine = [{identity: name} for name in dict.fromkeys(own)]
    lists[method] = listing(kind, mine, mine, 1000)
    return merge(Aggregate(includes, 1000), Catalog({}, {}, {}, (), lists), found[: len(prefixes)], modern=True)


def entry(identity: str, name: str) -> msgspec.Raw:
    return msgspec.Raw(json.dumps({identity: name, "inputSchema": {}}).encode())


def listed(found: Merged, method: str, kind: str, identity: str) -> list[str]:
    (page,) = found.lists[method].modern
    return [each[identity] for each in json.loads(b"{%b}" % page)[kind]]


@given(PREFIXES, SERVERS, st.lists(NAMES, max_size=3))
def test_each_name_is_of_one_tool_and_leads_back_to_it(
    prefixes: list[str], servers: list[list[str]], own: list[str]
) -> None:
    found = merged(prefixes, servers, own, "tools", "name")
    names, owners = listed(found, "tools/list", "tools", "name"), found.owners["tools"]
    assert len(set(names)) == len(names)
    assert set(names) == {*own, *owners}
    assert not {*own} & {*owners}
    for public, owner in owners.items():
        number = int(owner.include.spec.name.rpartition("-")[2])
        assert owner.own in servers[number]
        assert prefixed_name(owner.include.prefix, owner.own) == public
        if owner.include.prefix:
            assert is_legal(public)
            assert len(public) <= LONGEST


@given(PREFIXES, SERVERS, st.lists(NAMES, max_size=3))
def test_what_is_not_listed_says_whose_it_is_and_what_would_mend_it(
    prefixes: list[str], servers: list[list[str]], own: list[str]
) -> None:
    found = merged(prefixes, servers, own, "tools", "name")
    shown = [(owner.include.spec.name, owner.own) for owner in found.owners["tools"].values()]
    hidden = [remark for remark in found.remarks if remark.hidden]
    assert len(shown) + len(hidden) == sum(len(names) for names in servers[: len(prefixes)])
    assert all(remark.why and remark.mend for remark in hidden)


@given(PREFIXES, SERVERS)
def test_a_listed_resource_keeps_the_uri_that_is_computed_for_it(prefixes: list[str], servers: list[list[str]]) -> None:
    uris = [[f"docs://{name}" for name in names] for names in servers]
    found = merged(prefixes, uris, [], "resources", "uri")
    public = listed(found, "resources/list", "resources", "uri")
    assert len(set(public)) == len(public)
    for uri, owner in found.owners["resources"].items():
        assert public_uri(owner.include.prefix, owner.own) == uri
