"""Names and URIs of included servers, in public and back."""

from hypothesis import given
from hypothesis import strategies as st

from portico.gateway.routing.naming import is_legal, own_uri, prefixed_name, public_uri

PREFIX = st.from_regex(r"[A-Za-z0-9_-]{1,32}", fullmatch=True)
URI = st.one_of(
    st.text(max_size=40),
    st.from_regex(r"[a-z][a-z0-9+.-]{0,8}:(//)?[^\n]{0,20}", fullmatch=True),
    st.from_regex(r"[a-z]{1,5}:(//)?(\{\+?[a-z]{1,4}\}|[a-z/:]){0,6}", fullmatch=True),
)


@given(PREFIX, URI)
def test_a_public_uri_leads_back_to_what_it_was(prefix: str, uri: str) -> None:
    public = public_uri(prefix, uri)
    assert public != uri
    assert own_uri(prefix, public) == uri


@given(URI)
def test_without_a_prefix_nothing_changes(uri: str) -> None:
    assert public_uri("", uri) == uri == own_uri("", uri)


@given(PREFIX, st.from_regex(r"[a-z]{1,5}:(//)?", fullmatch=True), st.from_regex(r"[a-z0-9/:]{0,12}", fullmatch=True))
def test_what_a_public_template_expands_to_leads_back(prefix: str, head: str, value: str) -> None:
    expanded = public_uri(prefix, f"{head}{{+x}}").replace("{+x}", value)
    assert own_uri(prefix, expanded) == head + value


@given(PREFIX, st.text(min_size=1, max_size=150))
def test_a_name_that_we_make_is_legal_and_the_same_every_time(prefix: str, name: str) -> None:
    made = prefixed_name(prefix, name)
    assert is_legal(made)
    assert made == prefixed_name(prefix, name)


def test_long_names_that_differ_at_their_end_stay_apart() -> None:
    assert prefixed_name("gh_", "a" * 80 + "1") != prefixed_name("gh_", "a" * 80 + "2")


def test_a_foreign_uri_is_not_taken_for_ones_own() -> None:
    assert own_uri("gh_", "file:///etc/passwd") is None
    assert own_uri("gh_", "file://gh_x/etc") is None
