"""Which Host and which Origin a request may name."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portico.gateway.origin import LOOPBACK, HostRules
from portico.gateway.routing.endpoint import CorsRules

OURS = HostRules((*LOOPBACK, "mcp.example.com", "pinned.example.com:8443"))
ANY = HostRules(())
CORS = CorsRules(frozenset({"https://console.example.com"}), b"", b"*", b"", False, b"600")
NAMES = ("localhost", "127.0.0.1", "[::1]", "mcp.example.com")


@given(st.binary())
def test_any_bytes_are_judged_and_only_our_names_pass(host: bytes) -> None:
    if OURS.allows_host(host):
        text = host.decode("latin-1").strip().lower()
        assert text.startswith((*NAMES, "pinned.example.com:8443"))


@given(st.sampled_from(NAMES), st.integers(0, 65535))
def test_our_names_pass_with_any_port_and_in_any_case(name: str, port: int) -> None:
    for host in (name, name.upper(), f"{name}:{port}"):
        assert OURS.allows_host(host.encode())


@given(st.sampled_from(NAMES), st.text(st.characters(codec="ascii", categories=["L", "N"]), min_size=1, max_size=8))
def test_a_longer_name_is_another_name(name: str, more: str) -> None:
    assert not OURS.allows_host(f"{more}.{name}".encode())
    assert not OURS.allows_host(f"{name}.{more}".encode())
    assert not OURS.allows_origin(f"https://{more}.{name}", b"localhost", None)
    assert not OURS.allows_origin(f"https://{name}.{more}", b"localhost", None)


@pytest.mark.parametrize("port", ["", ":80", ":84430"])
def test_a_pinned_port_is_the_only_one(port: str) -> None:
    assert not OURS.allows_host(f"pinned.example.com{port}".encode())


@given(st.text(), st.binary())
def test_any_origin_is_judged(origin: str, host: bytes) -> None:
    for rules in (OURS, ANY):
        for cors in (None, CORS):
            assert rules.allows_origin(origin, host, cors) in (True, False)


@pytest.mark.parametrize(
    "origin", ["null", "", "https://", "localhost", "file://localhost", "https://evil.example#localhost",
               "https://localhost:pass@evil.example", "https://evil.example/localhost", "ftp://localhost"]
)  # fmt: skip
def test_an_origin_that_only_resembles_ours_is_not(origin: str) -> None:
    assert not OURS.allows_origin(origin, b"localhost", CORS)


def test_a_listed_origin_may_call_and_its_neighbours_may_not() -> None:
    assert OURS.allows_origin("https://console.example.com", b"localhost", CORS)
    for wrong in ("http://console.example.com", "https://console.example.com:444", "https://console.example.com.evil"):
        assert not OURS.allows_origin(wrong, b"localhost", CORS)
    assert not OURS.allows_origin("https://console.example.com", b"localhost", None)


def test_without_names_of_our_own_a_page_of_the_same_host_may_ask() -> None:
    assert ANY.allows_origin("https://api.example.com", b"api.example.com", None)
    assert not ANY.allows_origin("https://evil.example", b"api.example.com", None)


def test_what_is_remembered_of_hosts_is_bounded() -> None:
    rules = HostRules(LOOPBACK)
    for number in range(5000):
        assert not rules.allows_host(b"host-%d.example" % number)
    assert len(rules._checked) <= 1024
    assert rules.allows_host(b"localhost")
