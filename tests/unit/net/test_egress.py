import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portico.net.addresses import is_public, unwrap
from portico.net.egress import Egress
from portico.net.errors import Rejected, Unreachable

pytestmark = pytest.mark.anyio

NOT_PUBLIC = [
    "0.0.0.0", "0.1.2.3", "10.0.0.1", "100.64.0.1", "100.100.100.200", "127.0.0.1", "127.255.255.254", "168.63.129.16",
    "169.254.169.254", "172.16.0.1", "172.31.255.255", "192.0.0.192", "192.0.2.1", "192.168.1.1", "198.18.0.1",
    "198.51.100.1", "203.0.113.1", "224.0.0.1", "239.255.255.255", "240.0.0.1", "255.255.255.255",
    "::", "::1", "fe80::1", "fe80::1%eth0", "fec0::1", "fc00::1", "fd00:ec2::254", "ff02::1", "2001:db8::1", "2001::1",
    "2001:20::1", "3fff::1", "100::1", "64:ff9b:1::1", "4000::1",
]  # fmt: skip
PUBLIC = ["1.1.1.1", "8.8.8.8", "93.184.216.34", "172.32.0.1", "100.128.0.1", "2606:4700::1111", "2a00:1450:4001::1"]


def wrappings(address: ipaddress.IPv4Address) -> list[str]:
    number = int(address)
    return [
        str(ipaddress.IPv6Address((0xFFFF << 32) | number)),
        str(ipaddress.IPv6Address((0xFFFF << 48) | number)),
        str(ipaddress.IPv6Address((0x64FF9B << 96) | number)),
        str(ipaddress.IPv6Address((0x2002 << 112) | (number << 80) | 1)),
        str(ipaddress.IPv6Address(number)),
    ]


@pytest.mark.parametrize("address", NOT_PUBLIC)
def test_an_address_of_no_public_place_is_refused(address):
    with pytest.raises(Rejected) as refusal:
        Egress.parse("public").check("evil.test", address)
    assert "evil.test" in refusal.value.message
    assert address in refusal.value.message
    assert refusal.value.sent is False


@pytest.mark.parametrize("address", PUBLIC)
def test_a_public_address_is_allowed(address):
    Egress.parse("public").check("good.test", address)


@given(st.ip_addresses(v=4))
def test_an_address_inside_another_is_judged_like_itself(address):
    for wrapped in wrappings(address):
        if wrapped in ("::", "::1"):
            continue
        assert unwrap(ipaddress.ip_address(wrapped)) == address
        assert is_public(ipaddress.ip_address(wrapped)) == is_public(address)


@given(st.ip_addresses())
def test_what_is_called_public_is_never_what_python_knows_to_be_special(address):
    if is_public(address):
        inner = unwrap(address)
        special = (inner.is_loopback, inner.is_link_local, inner.is_multicast, inner.is_private, inner.is_reserved)
        assert not any(special)


@given(st.text(max_size=40))
def test_a_text_that_is_no_address_is_refused_not_crashed_on(text):
    with pytest.raises(Rejected):
        Egress.parse("10.0.0.0/8").check("host", text)


def test_a_list_allows_its_names_subdomains_and_networks_only():
    egress = Egress.parse("api.example.com, *.example.org, 10.0.0.0/8, 2001:db8::/32, 192.0.2.7")
    egress.check("api.example.com", "93.184.216.34")
    egress.check("API.Example.com.", "192.168.0.1")
    egress.check("a.b.example.org", "1.1.1.1")
    egress.check("anything", "10.1.2.3")
    egress.check("anything", "::ffff:10.1.2.3")
    egress.check("anything", "2001:db8::5")
    egress.check("anything", "192.0.2.7")
    for host, address in [
        ("example.org", "1.1.1.1"),
        ("evilexample.org", "1.1.1.1"),
        ("api.example.com.evil.test", "1.1.1.1"),
        ("example.com", "1.1.1.1"),
        ("anything", "11.0.0.1"),
        ("anything", "192.0.2.8"),
    ]:
        with pytest.raises(Rejected):
            egress.check(host, address)


def test_a_list_may_add_to_what_is_public():
    egress = Egress.parse("public,10.0.0.0/8,db.internal")
    egress.check("x", "1.1.1.1")
    egress.check("x", "10.0.0.1")
    egress.check("db.internal", "192.168.0.1")
    with pytest.raises(Rejected):
        egress.check("x", "192.168.0.1")


@pytest.mark.parametrize("address", ["169.254.169.254", "::ffff:169.254.169.254", "fe80::1", "0.0.0.0", "224.0.0.1"])
def test_a_listed_name_never_leads_to_metadata_or_to_many(address):
    with pytest.raises(Rejected):
        Egress.parse("api.example.com").check("api.example.com", address)


@pytest.mark.parametrize(
    "text",
    ["", "any,public", "10.0.0.1/8", "127.1", "2130706433", "http://x", "*.", "*", "a b", "x,,y", "exa*mple.com"],
)
def test_a_bad_policy_is_a_sentence_not_a_guess(text):
    with pytest.raises(ValueError, match="egress"):
        Egress.parse(text)


def test_any_allows_everything():
    Egress.parse("any").check("x", "169.254.169.254")


@pytest.mark.parametrize(
    "host",
    [
        "localhost",
        "x.localhost",
        "127.0.0.1",
        "::1",
        "intranet",
        "127.1",
        "2130706433",
        "a.0x7f",
        "metadata.google.internal",
    ],
)
def test_a_host_that_a_proxy_would_resolve_is_judged_by_its_name(host):
    with pytest.raises(Rejected):
        Egress.parse("public").check_unresolved(host)
    Egress.parse("public").check_unresolved("api.example.com")
    Egress.parse("public").check_unresolved("1.1.1.1")
    with pytest.raises(Rejected):
        Egress.parse("10.0.0.0/8").check_unresolved("api.example.com")
    Egress.parse("api.example.com").check_unresolved("api.example.com")


async def test_one_refused_address_refuses_them_all():
    async def lookup(host: str, port: int) -> list[str]:
        return ["1.1.1.1", "127.0.0.1"]

    with pytest.raises(Rejected, match=r"127\.0\.0\.1"):
        await Egress.parse("public").resolve("mixed.test", 80, lookup)


async def test_a_name_without_an_address_is_unreachable():
    async def nothing(host: str, port: int) -> list[str]:
        return []

    with pytest.raises(Unreachable, match=r"nowhere\.test"):
        await Egress.parse("public").resolve("nowhere.test", 80, nothing)


async def test_an_address_is_not_looked_up():
    async def lookup(host: str, port: int) -> list[str]:
        raise AssertionError(host)

    assert await Egress.parse("public").resolve("1.1.1.1", 80, lookup) == ["1.1.1.1"]
