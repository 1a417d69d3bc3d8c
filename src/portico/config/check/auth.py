"""Judges who may use an endpoint: that a mode has what it needs, and nothing that another mode would need."""

from __future__ import annotations

import re
import time
from urllib.parse import SplitResult, urlsplit

from portico.config.auth import AUTH_MODES, Auth
from portico.config.check.findings import Findings
from portico.config.key import HASH, is_key
from portico.config.positions import Path
from portico.config.problem import quoted

_FIELDS = {
    "none": (),
    "apiKey": ("keys",),
    "jwt": ("issuer", "jwks", "audience", "algorithms", "leeway", "principal", "scopes"),
}
_LOOPBACK = ("localhost", "127.0.0.1", "::1")


def judge_auth(path: Path, auth: Auth, findings: Findings) -> None:
    if auth.mode not in AUTH_MODES:
        findings.error(
            (*path, "mode"),
            "auth-mode-not-built",
            f"this version cannot do {quoted(auth.mode)}, so its endpoint is not served",
            f"Write one of: {', '.join(AUTH_MODES)}",
        )
        return
    for name in sorted(auth.model_fields_set - {"mode", *_FIELDS[auth.mode]}):
        findings.error(
            (*path, name),
            "auth-field-of-another-mode",
            f"{name} says nothing in mode {auth.mode}, so the endpoint would not be guarded by it",
            f"Remove it, or write the mode that it belongs to: {_mode_of(name)}",
            key=True,
        )
    if auth.mode == "apiKey":
        _keys((*path, "keys"), auth, findings)
    elif auth.mode == "jwt":
        _tokens(path, auth, findings)


def _mode_of(field: str) -> str:
    return next((mode for mode, fields in _FIELDS.items() if field in fields), "none")


def _keys(path: Path, auth: Auth, findings: Findings) -> None:
    names: dict[str, Path] = {}
    hashes: dict[str, Path] = {}
    for index, key in enumerate(auth.keys):
        here = (*path, index)
        if not re.fullmatch(HASH, key.hash):
            what = "this is a key, which nobody should see" if is_key(key.hash) else "this is not the hash of a key"
            findings.error((*here, "hash"), "bad-key-hash", what, "Write what portico key hash prints")
        for seen, value, field in ((names, key.name, "name"), (hashes, key.hash, "hash")):
            if value in seen:
                findings.error(
                    (*here, field),
                    "duplicate-key-" + field,
                    f"the {field} of this key is there twice, first on line {findings.line(seen[value])}",
                    "Give every key a name of its own" if field == "name" else "Remove one of the two keys",
                )
            seen.setdefault(value, (*here, field))
        if key.expires is not None and key.expires <= time.time():
            findings.warning(
                (*here, "expires"),
                "key-expired",
                f"the key {quoted(key.name)} has expired, so it opens nothing",
                "Remove it, or write a later date",
            )


def _tokens(path: Path, auth: Auth, findings: Findings) -> None:
    needed = {
        "issuer": (auth.issuer, "anybody's tokens would do", "Write the issuer's URL, as the claim iss has it"),
        "jwks": (auth.jwks, "no signature could be checked", "Write the URL of the issuer's public keys (jwks_uri)"),
        "audience": (
            auth.audience,
            "a token that was meant for another service would open this one",
            "Write the URL of this endpoint, and have the issuer put it into aud",
        ),
    }
    for name, (value, why, mend) in needed.items():
        if value is None or value in ("", []):
            place = (*path, name) if name in auth.model_fields_set else path
            findings.error(place, f"jwt-without-{name}", f"without {name} {why}", mend, key=place == path)
    if auth.issuer:
        _url((*path, "issuer"), auth.issuer, findings)
    if auth.jwks:
        _url((*path, "jwks"), auth.jwks, findings)
    for scope, patterns in (auth.scopes or {}).items():
        for index, pattern in enumerate(patterns):
            if pattern.startswith("!"):
                findings.error(
                    (*path, "scopes", scope, index),
                    "scope-that-denies",
                    "a scope only allows, for a token may have several",
                    "Name the tools that the scope allows",
                )


def _url(path: Path, text: str, findings: Findings) -> None:
    parts = _split(text)
    if parts is None or parts.username is not None:
        findings.error(path, "bad-url", f"{quoted(text)} is not the URL of a server", "Write it in full: https://…")
    elif parts.scheme != "https" and parts.hostname not in _LOOPBACK:
        findings.error(
            path,
            "plain-http-issuer",
            "whoever sits in between could give other keys out over http://, and let anybody in",
            "Write https://; plain http:// is for loopback only",
        )


def _split(text: str) -> SplitResult | None:
    try:
        parts = urlsplit(text)
        known = parts.scheme in ("http", "https") and parts.hostname and (parts.port or 1) > 0 and text.isascii()
    except ValueError:
        return None
    return parts if known and text.isprintable() and " " not in text and "{{" not in text else None
