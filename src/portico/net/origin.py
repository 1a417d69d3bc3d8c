"""Where a request goes: the key of a connection pool, and the proxy on the way."""

import re
from dataclasses import dataclass, field
from typing import Self
from urllib.parse import unquote, urlsplit

_HOST = re.compile(r"[A-Za-z0-9._~%:-]+")
_PROXY_PORTS = {"http": 80, "https": 443, "socks5": 1080, "socks5h": 1080}


@dataclass(frozen=True, slots=True)
class Origin:
    """Where we connect and as whom. Build it once per document, not per call: the constructor validates and raises
    ValueError.

    `host` is a name in ASCII or an address without brackets. `proxy` is `http://`, `https://` or `socks5://` with
    optional `user:password@` (percent-encoded). The proxy resolves the host (`socks5h` is the same thing): the egress
    policy checks the proxy's addresses, and the host by its name. `unix` is the path of a socket to connect to in
    place of host and port; it is for Portico's own workers, so the egress policy is not asked: never take it from a
    document.
    """

    scheme: str
    host: str
    port: int
    proxy: str | None = field(default=None, repr=False)
    unix: str | None = None
    _hash: int = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if self.scheme not in ("http", "https"):
            raise ValueError(f"{self.scheme!r} is not a scheme that Portico calls; use http or https")
        if not _HOST.fullmatch(self.host):
            raise ValueError(
                f"{self.host!r} is not a host; write a name in ASCII (punycode) or an address without brackets"
            )
        if not 0 < self.port < 65536:
            raise ValueError(f"{self.port} is not a port")
        if self.proxy is not None:
            Proxy.parse(self.proxy)
            if self.unix is not None:
                raise ValueError("A Unix socket is not reached through a proxy")
        object.__setattr__(self, "_hash", hash((self.scheme, self.host, self.port, self.proxy, self.unix)))

    def __hash__(self) -> int:
        # Every request looks its pool up by origin, so the hash is computed once.
        return self._hash

    @property
    def name(self) -> str:
        """How errors and metrics call it; without the proxy's credentials."""
        name = self.unix or authority(self.host, self.port)
        return f"{name} through {Proxy.parse(self.proxy).name}" if self.proxy else name


@dataclass(frozen=True, slots=True)
class Proxy:
    scheme: str
    host: str
    port: int
    username: str | None = field(default=None, repr=False)
    password: str = field(default="", repr=False)

    @classmethod
    def parse(cls, url: str) -> Self:
        """Raises ValueError with a sentence that does not repeat the URL, because it may hold a password."""
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError as error:
            raise ValueError("The proxy's URL cannot be parsed; write scheme://user:password@host:port") from error
        if parts.scheme not in _PROXY_PORTS:
            raise ValueError("A proxy's URL begins with http://, https:// or socks5://")
        if not parts.hostname or not _HOST.fullmatch(parts.hostname) or parts.path not in ("", "/") or parts.query:
            raise ValueError("A proxy's URL has a host, perhaps a port and credentials, and nothing else")
        username = unquote(parts.username) if parts.username is not None else None
        password = unquote(parts.password or "")
        if len((username or "").encode()) > 255 or len(password.encode()) > 255 or ":" in (username or ""):
            raise ValueError("A proxy's user name and password have at most 255 bytes, and the name has no colon")
        return cls(parts.scheme, parts.hostname, port or _PROXY_PORTS[parts.scheme], username, password)

    @property
    def name(self) -> str:
        return f"proxy {self.scheme}://{authority(self.host, self.port)}"


def authority(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
