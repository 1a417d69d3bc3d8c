"""Where Portico may connect: the operator's policy over host names and addresses.

`any` allows everything. `public` allows public addresses only. A list of `host`, `*.domain`, addresses and networks
allows those; the word `public` may be one of its entries. A listed name may lead to a private address, which is what
lists are for, but never to a link-local (cloud metadata), multicast or unspecified one: those must be listed as
networks. An IPv4 address inside an IPv6 one (mapped, 6to4, NAT64 …) decides for it. Every address of a name is
checked and one bad address refuses them all, because an attacker mixes them; the caller connects to the addresses
returned and never resolves again. Proxies of the environment are not looked at by anybody.
"""

import asyncio
import re
import socket
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Self

from portico.net.addresses import IpAddress, is_never_a_host, is_public, parse_address, unwrap
from portico.net.errors import Rejected, Unreachable

Lookup = Callable[[str, int], Awaitable[list[str]]]

_NAME = re.compile(r"(\*\.)?[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?)*")


@dataclass(frozen=True, slots=True)
class Egress:
    everything: bool = False
    public: bool = False
    names: frozenset[str] = frozenset()
    suffixes: tuple[str, ...] = ()  # ".example.com" for "*.example.com"
    networks: tuple[IPv4Network | IPv6Network, ...] = ()

    @classmethod
    def parse(cls, text: str) -> Self:
        """A policy from the operator's text. Raises ValueError with a sentence that names the bad entry."""
        entries = [entry.strip().lower().rstrip(".") for entry in text.split(",")]
        if entries == ["any"]:
            return cls(everything=True)
        names, suffixes, networks = set[str](), list[str](), list[IPv4Network | IPv6Network]()
        for entry in entries:
            if entry == "any":
                raise ValueError('egress: "any" allows everything, so it cannot stand beside other entries')
            if network := _network(entry):
                networks.append(network)
            elif entry.startswith("*.") and _NAME.fullmatch(entry):
                suffixes.append(entry[1:])
            elif entry != "public" and _is_name(entry):
                names.add(entry)
            elif entry != "public":
                raise ValueError(
                    f"egress: {entry!r} is neither a host name, *.domain, an address nor a network; "
                    'write "any", "public" or a list such as "api.example.com,*.example.org,10.0.0.0/8"'
                )
        return cls(False, "public" in entries, frozenset(names), tuple(suffixes), tuple(networks))

    def check(self, host: str, address: str) -> None:
        """Raises Rejected unless `host`, resolved to `address`, may be connected to."""
        if self.everything:
            return
        parsed = parse_address(address)
        if parsed is None or not self._allows(host, unwrap(parsed)):
            raise Rejected(f"{host} leads to {address}, where the egress policy does not let Portico connect")

    def check_unresolved(self, host: str) -> None:
        """The check for a host that a proxy resolves for us: by its name, or by its address where it is one."""
        if self.everything:
            return
        address = parse_address(host)
        if address is not None:
            self.check(host, host)
        elif not self._lists(host) and not (self.public and _looks_public(host)):
            raise Rejected(f"The egress policy does not let Portico connect to {host} through a proxy")

    async def resolve(self, host: str, port: int, lookup: Lookup) -> list[str]:
        """The addresses of a host, all checked. Raises Unreachable if there are none, Rejected if one is refused."""
        try:
            addresses = [host] if parse_address(host) else await lookup(host, port)
        except (OSError, UnicodeError) as error:
            raise Unreachable(f"{host} could not be resolved: {_reason(error)}") from error
        if not addresses:
            raise Unreachable(f"{host} could not be resolved: it has no address")
        for address in addresses:
            self.check(host, address)
        return addresses

    def _allows(self, host: str, address: IpAddress) -> bool:
        if any(address in network for network in self.networks):
            return True
        if self.public and is_public(address):
            return True
        return self._lists(host) and not is_never_a_host(address)

    def _lists(self, host: str) -> bool:
        name = host.lower().rstrip(".")
        return name in self.names or name.endswith(self.suffixes)


async def system_lookup(host: str, port: int) -> list[str]:
    """The addresses that the operating system knows for a name, in its order, each once."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(_spelled(entry[4]) for entry in found))


def _spelled(address: tuple[object, ...]) -> str:
    """An address with its interface, which a link-local one needs to be connected to."""
    host = str(address[0])
    scope = address[3] if len(address) == 4 else 0
    return f"{host}%{scope}" if scope and "%" not in host else host


def _network(entry: str) -> IPv4Network | IPv6Network | None:
    try:
        return ip_network(entry)
    except ValueError:
        return None


def _is_name(entry: str) -> bool:
    # A last label of digits only would be an address in one of the old spellings (127.1, 2130706433).
    return bool(_NAME.fullmatch(entry)) and not entry.startswith("*") and not entry.rpartition(".")[2].isdigit()


def _looks_public(host: str) -> bool:
    """Whether a name is one that public DNS could answer: not localhost, and not an old spelling of an address."""
    name = host.lower().rstrip(".")
    last = name.rpartition(".")[2]
    numeric = last.isdigit() or re.fullmatch(r"0x[0-9a-f]*", last)
    return last not in ("localhost", "local", "internal") and not numeric and "." in name


def _reason(error: Exception) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or "the name is not a valid one"
