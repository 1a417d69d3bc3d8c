"""Judges names and fixed values of headers and cookies that a request sends."""

from __future__ import annotations

import re

from portico.config.check.findings import Findings
from portico.config.positions import Path
from portico.config.problem import quoted

TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_CONTROL = re.compile("[\x00-\x08\x0a-\x1f\x7f]")
_OWN = frozenset(
    (
        "connection",
        "content-length",
        "expect",
        "host",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    )
)


def judge_header(path: Path, name: str, findings: Findings, *, key: bool = True) -> None:
    """A header that a document wants to send."""
    low = name.lower()
    if not TOKEN.fullmatch(name):
        findings.error(
            path, "bad-header-name", f"{quoted(name)} is not a header name", "Use letters, digits and hyphens", key=key
        )
    elif low in _OWN:
        findings.error(
            path,
            "forbidden-header",
            f"the header {name} belongs to the connection and is set by the gateway",
            "Remove it" if low != "host" else "Remove it; the host comes from the URL",
            key=key,
        )
    elif low.startswith("mcp-"):
        findings.error(
            path,
            "forbidden-header",
            f"the header {name} belongs to MCP",
            "Use a name that does not begin with Mcp-",
            key=key,
        )


def judge_cookie(path: Path, name: str, findings: Findings, *, key: bool = True) -> None:
    """A cookie that a document wants to send."""
    if not TOKEN.fullmatch(name):
        findings.error(
            path, "bad-cookie-name", f"{quoted(name)} is not a cookie name", "Use letters, digits and hyphens", key=key
        )


def judge_header_value(path: Path, value: str, findings: Findings) -> None:
    """What stands in a header's template as it is."""
    odd = _CONTROL.search(value)
    if odd is not None:
        findings.error(
            path,
            "bad-header-value",
            f"the value holds the control character U+{ord(odd[0]):04X}",
            "Write the value on one line, without a line end (in YAML: > - or quotes instead of |)",
        )
