"""Where a notifier is: its URL taken apart, and what of it may be shown."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Self
from urllib.parse import parse_qsl, unquote

MOST_HOSTS = 8
_URL = re.compile(r"([a-z+]+)://(?:([^/?#]*)@)?([^@/?#]+)(?:/([^?#]*))?(?:\?([^#]*))?")
_HOST = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[^:\[\],\s]+)(?::(\d{1,5}))?")


@dataclass(frozen=True, slots=True)
class Place:
    """`hosts` are without brackets. Credentials are decoded; they are in no text that this class gives."""

    scheme: str
    hosts: tuple[tuple[str, int], ...]
    path: str
    options: dict[str, str]
    shown: str
    user: str | None = field(default=None, repr=False)
    password: str | None = field(default=None, repr=False)

    @classmethod
    def parse(cls, url: str, port: int, options: tuple[str, ...] = ()) -> Self:
        """SCHEME://[USER[:PASSWORD]@]HOST[:PORT][,HOST…][/PATH][?OPTION=…], or ValueError that does not repeat it."""
        match = _URL.fullmatch(url)
        if match is None:
            raise ValueError("it is not of the form SCHEME://HOST:PORT")
        scheme, login, hosts, path, query = match.groups()
        given = dict(parse_qsl(query or "", keep_blank_values=True))
        for name in given:
            if name not in options:
                raise ValueError(f"there is no option {name[:40]!r} here; known: {', '.join(options) or 'none'}")
        user, found, password = (login or "").partition(":")
        named = tuple(_host(text, port) for text in hosts.split(","))
        if len(named) > MOST_HOSTS:
            raise ValueError(f"it names {len(named)} hosts; {MOST_HOSTS} may be named")
        return cls(
            scheme,
            named,
            unquote(path or ""),
            given,
            f"{scheme}://{hosts}" + (f"/{path}" if path else ""),
            unquote(user) or None,
            unquote(password) if found else None,
        )

    @staticmethod
    def hide(url: str) -> str:
        """A URL that need not be one, without what may be credentials."""
        scheme, found, rest = url.partition("://")
        return f"{scheme}://{rest.rpartition('@')[2]}"[:120] if found else url[:120]

    def clean(self, text: str) -> str:
        """Somebody else's error text without our credentials, on one line."""
        for secret in (self.password, self.user):
            if secret and len(secret) > 2:
                text = text.replace(secret, "(secret)")
        return " ".join(text.split())[:300]


def _host(text: str, port: int) -> tuple[str, int]:
    match = _HOST.fullmatch(text.strip())
    if match is None or not 0 < int(match[2] or port) < 65536:
        raise ValueError(f"{text[:80]!r} is not HOST or HOST:PORT")
    return match[1].strip("[]"), int(match[2] or port)
