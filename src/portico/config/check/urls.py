"""Judges URLs and proxies."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from portico.config.check.draft import Draft
from portico.config.check.findings import Findings
from portico.config.positions import Path
from portico.config.problem import quoted

PROXY_SCHEMES = ("http", "https", "socks5")
_LEADING_VALUE = re.compile(r"\{\{-?\s*values\.([A-Za-z_][A-Za-z0-9_]*)\s*\}\}")
_EXPRESSION = re.compile(r"\{\{.*?\}\}", re.DOTALL)
_ODD = re.compile(r"[\x00-\x20\x7f\\]")
_ORIGIN = re.compile(r"[a-z][a-z0-9+.-]*://[^/?#@\s]+")


def judge_url(path: Path, url: str, draft: Draft) -> bool:
    """A tool's URL as far as it is known: a leading named value is put in. Its templates are judged elsewhere."""
    before = draft.findings.errors
    leading = _LEADING_VALUE.match(url)
    if leading is not None:
        value = draft.values.get(leading[1])
        if not isinstance(value, str):
            if value is not None:
                message = f"the value {quoted(leading[1])} begins a URL but is not text"
                draft.findings.error(path, "bad-url", message, "Write it as http://host")
            return value is None
        url = value + url[leading.end() :]
    if not url.startswith("{{"):
        _absolute(path, url, ("http", "https"), "URL", draft.findings)
    return draft.findings.errors == before


def judge_proxy(path: Path, proxy: str, findings: Findings) -> None:
    if not proxy.startswith("{{"):
        _absolute(path, proxy, PROXY_SCHEMES, "proxy", findings)


def judge_origin(path: Path, origin: str, findings: Findings) -> None:
    """An origin that CORS allows."""
    if origin != "*" and not _ORIGIN.fullmatch(origin):
        findings.error(
            path,
            "bad-origin",
            f"{quoted(origin)} is not an origin",
            "Write scheme://host or scheme://host:port, without a path and without a slash at the end",
        )


def _absolute(path: Path, url: str, schemes: tuple[str, ...], what: str, findings: Findings) -> None:
    mend = f"Write {' or '.join(f'{scheme}://' for scheme in schemes)} and a host"
    scheme, found, _ = url.partition("://")
    if not found or scheme.lower() not in schemes:
        findings.error(path, "bad-url", f"the {what} {quoted(url)} begins with no {', '.join(schemes)}", mend)
        return
    _host(path, url, mend, what, findings)


def _host(path: Path, url: str, mend: str, what: str, findings: Findings) -> None:
    plain = _EXPRESSION.sub("x", url)
    odd = _ODD.search(plain)
    if odd is not None:
        findings.error(
            path, "bad-url", f"the {what} holds the character {quoted(odd[0])}", "Write it percent-encoded, such as %20"
        )
        return
    try:
        parts = urlsplit(plain)
        host, _ = parts.hostname, parts.port
    except ValueError as error:
        findings.error(path, "bad-url", f"the {what} {quoted(url)} is broken: {error}", mend)
        return
    if not host:
        findings.error(path, "bad-url", f"the {what} {quoted(url)} has no host", mend)
    elif parts.username is not None and what == "URL":
        findings.error(
            path,
            "credentials-in-url",
            "the URL holds a user name or password",
            "Send them in a header: Authorization with a secret",
        )
