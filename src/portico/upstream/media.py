"""What a Content-Type says about a body: JSON, text, picture, sound or something else."""

from __future__ import annotations

import codecs
from dataclasses import dataclass
from typing import Literal

Kind = Literal["json", "text", "image", "audio", "binary", "unknown"]

_TEXT = frozenset(
    {
        "application/ecmascript",
        "application/graphql",
        "application/javascript",
        "application/jsonl",
        "application/sql",
        "application/toml",
        "application/x-javascript",
        "application/x-ndjson",
        "application/x-sh",
        "application/x-www-form-urlencoded",
        "application/x-yaml",
        "application/xml",
        "application/yaml",
        "image/svg+xml",
    }
)
_KNOWN_AT_MOST = 512


@dataclass(frozen=True, slots=True)
class Media:
    """`charset` is None where it is UTF-8 or unknown to us."""

    kind: Kind
    mime_type: str
    charset: str | None = None

    def text(self, body: bytes) -> str:
        """The body as text; what is not valid in its charset becomes U+FFFD."""
        if self.charset is None:
            return body.removeprefix(codecs.BOM_UTF8).decode("utf-8", "replace")
        return body.decode(self.charset, "replace").encode("utf-8", "replace").decode()


_UNKNOWN = Media("unknown", "application/octet-stream")
_known: dict[bytes, Media] = {}


def media_of(content_type: bytes | None) -> Media:
    if content_type is None:
        return _UNKNOWN
    media = _known.get(content_type)
    if media is None:
        media = _parsed(content_type.decode("latin-1"))
        if len(_known) < _KNOWN_AT_MOST:
            _known[content_type] = media
    return media


def _parsed(content_type: str) -> Media:
    mime_type, *parameters = (part.strip() for part in content_type.split(";"))
    mime_type = mime_type.lower()
    if "/" not in mime_type or not mime_type.isascii() or not mime_type.isprintable():
        return _UNKNOWN
    charset = next((part[8:].strip("\"' ") for part in parameters if part.lower().startswith("charset=")), "")
    return Media(_kind(mime_type), mime_type, _codec(charset))


def _codec(charset: str) -> str | None:
    try:
        name = codecs.lookup(charset).name if charset else "utf-8"
        "".encode(name)  # Refuses codecs that do not turn bytes into text.
    except (LookupError, ValueError):
        return None
    return None if name in ("utf-8", "ascii", "unicode_escape", "raw_unicode_escape", "idna", "punycode") else name


def _kind(mime_type: str) -> Kind:
    if mime_type in _TEXT:
        return "text"
    if mime_type in ("application/json", "text/json") or mime_type.endswith("+json"):
        return "json"
    if mime_type.startswith("text/") or mime_type.endswith(("+xml", "+yaml")):
        return "text"
    family = mime_type.partition("/")[0]
    return "image" if family == "image" else "audio" if family == "audio" else "binary"
