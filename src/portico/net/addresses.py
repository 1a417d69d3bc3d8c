"""Which IP addresses are public: the question every egress decision comes down to.

The lists follow the IANA special-purpose registries. `ipaddress.is_global` is not used: its answer differs between
patch releases of Python and knows nothing of addresses that carry another one inside.
"""

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

IpAddress = IPv4Address | IPv6Address

_NOT_PUBLIC_4 = tuple(
    IPv4Network(network)
    for network in (
        "0.0.0.0/8",
        "10.0.0.0/8",
        "100.64.0.0/10",
        "127.0.0.0/8",
        "168.63.129.16/32",  # Azure's host agent: a public number that only means the machine's own hypervisor.
        "169.254.0.0/16",
        "172.16.0.0/12",
        "192.0.0.0/24",
        "192.0.2.0/24",
        "192.31.196.0/24",
        "192.52.193.0/24",
        "192.88.99.0/24",
        "192.168.0.0/16",
        "192.175.48.0/24",
        "198.18.0.0/15",
        "198.51.100.0/24",
        "203.0.113.0/24",
        "224.0.0.0/3",  # Multicast, reserved and broadcast.
    )
)
_GLOBAL_UNICAST_6 = IPv6Network("2000::/3")
_NOT_PUBLIC_6 = tuple(
    IPv6Network(network)
    for network in (
        "2001::/23",  # IETF protocol assignments, Teredo among them.
        "2001:db8::/32",
        "2620:4f:8000::/48",
        "3fff::/20",
    )
)
_MAPPED = IPv6Network("::ffff:0:0/96")
_TRANSLATED = IPv6Network("::ffff:0:0:0/96")
_COMPATIBLE = IPv6Network("::/96")
_NAT64 = IPv6Network("64:ff9b::/96")
_SIX_TO_FOUR = IPv6Network("2002::/16")


def parse_address(text: str) -> IpAddress | None:
    """The address that a text spells in its standard form, or None. An interface name behind `%` is allowed."""
    try:
        return ip_address(text)
    except ValueError:
        return None


def unwrap(address: IpAddress) -> IpAddress:
    """The IPv4 address that an IPv6 one carries: mapped, translated, compatible, NAT64 or 6to4; else the address."""
    if isinstance(address, IPv4Address):
        return address
    number = int(address)
    if address in _SIX_TO_FOUR:
        return IPv4Address((number >> 80) & 0xFFFFFFFF)
    if address in _MAPPED or address in _NAT64 or address in _TRANSLATED:
        return IPv4Address(number & 0xFFFFFFFF)
    if address in _COMPATIBLE and number not in (0, 1):
        return IPv4Address(number & 0xFFFFFFFF)
    return address


def is_public(address: IpAddress) -> bool:
    address = unwrap(address)
    if isinstance(address, IPv4Address):
        return not any(address in network for network in _NOT_PUBLIC_4)
    return address in _GLOBAL_UNICAST_6 and not any(address in network for network in _NOT_PUBLIC_6)


def is_never_a_host(address: IpAddress) -> bool:
    """Link-local (cloud metadata lives there), multicast and unspecified addresses: no name may lead to one."""
    address = unwrap(address)
    return address.is_link_local or address.is_multicast or address.is_unspecified
