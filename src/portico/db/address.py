"""The address of a database as people write it: which driver it means, and how it is shown without its password."""

from __future__ import annotations

import re
import ssl
from dataclasses import dataclass

from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError

DRIVERS = {
    "postgresql": "postgresql+asyncpg",
    "postgres": "postgresql+asyncpg",
    "mysql": "mysql+aiomysql",
    "mariadb": "mysql+aiomysql",
}
MODES = ("disable", "require", "verify-full")


@dataclass(frozen=True, slots=True)
class Address:
    """`file` is SQLite's, and empty for a server. `tls` is what the connection asks of the server, or None."""

    url: URL
    shown: str
    file: str = ""
    tls: ssl.SSLContext | None = None

    def clean(self, text: str) -> str:
        """The text without the password, should somebody's error have quoted it."""
        password = self.url.password
        return text.replace(str(password), "***") if password else text


def parse(text: str) -> Address:
    """`sqlite:FILE`, `postgresql://…` or `mysql://…`. ValueError when it cannot be one; the text is not quoted."""
    scheme, _, rest = text.partition(":")
    if scheme == "sqlite":
        file = re.sub(r"^//(?=/)", "", rest)
        if not file:
            raise ValueError("sqlite: names no file")
        return Address(URL.create("sqlite+aiosqlite", database=file), f"sqlite:{file}", file)
    if scheme not in DRIVERS:
        raise ValueError(f"{scheme[:40]} is no kind of database")
    try:
        url = make_url(text)
    except (ArgumentError, ValueError):
        raise ValueError("the address is not a URL") from None
    if not url.database:
        raise ValueError("the address names no database")
    tls = _tls({name: str(value) for name, value in url.query.items()})
    url = url.set(query={})
    shown = url.render_as_string(hide_password=True)
    if scheme.startswith("m"):
        url = url.update_query_dict({"charset": "utf8mb4"})
    return Address(url.set(drivername=DRIVERS[scheme]), shown, tls=tls)


def _tls(options: dict[str, str]) -> ssl.SSLContext | None:
    """`sslmode` and `sslrootcert` as PostgreSQL's own programs know them, for every kind of server."""
    unknown = options.keys() - {"sslmode", "sslrootcert"}
    if unknown:
        raise ValueError(f"there is no option {min(unknown)[:40]!r} here; known: sslmode, sslrootcert")
    mode = options.get("sslmode", "disable")
    if mode not in MODES:
        raise ValueError(f"sslmode is one of {', '.join(MODES)}")
    if mode == "disable":
        return None
    try:
        context = ssl.create_default_context(cafile=options.get("sslrootcert"))
    except OSError as error:
        raise ValueError(f"sslrootcert cannot be read: {error.strerror or error}") from None
    if mode == "require":
        # As those programs mean it: nobody on the way can read along, and who answers is not proved.
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context
