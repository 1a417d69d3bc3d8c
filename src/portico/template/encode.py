"""How a value is written in each place of a request, so that it cannot leave that place.

Numbers, true and false are written as JSON writes them. A list is joined by commas where a place holds one value.
"""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import quote

from portico.template.errors import RenderError
from portico.template.value import MISSING, json_of, kind_of, text_of

is_unreserved = re.compile(r"[A-Za-z0-9._~-]*").fullmatch
_PLAIN_SEGMENT = re.compile(r"[A-Za-z0-9._~@:!$*'()-]*").fullmatch
_VISIBLE = re.compile(r"[\x20-\x7e]*").fullmatch
_COOKIE = re.compile(r"[A-Za-z0-9!#$&'()*+./:<=>?@\[\]^_`{|}~-]*").fullmatch
_PLAIN_XML = re.compile(r"[A-Za-z0-9 ._~:/@!?*+,;=()-]*").fullmatch
_XML_REFUSED = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]").search
_SLASHES = re.compile(r"[/\\]")
# The ampersand first, for the others bring their own.
_XML_ESCAPES = (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;"), ('"', "&quot;"), ("'", "&#39;"), ("\r", "&#13;"))
_DOTS = frozenset({".", ".."})
_MAX_LEVELS = 8


def _percent(text: str, safe: str) -> str:
    try:
        return quote(text, safe=safe)
    except UnicodeEncodeError:
        raise RenderError("a text holds half of a surrogate pair, which no encoding can carry") from None


def scalar(value: Any, name: str) -> str:
    """A value for a place that holds one text; null, objects and nothing have no such form."""
    if type(value) is str:
        return value
    if value is MISSING or value is None or type(value) is dict:
        raise RenderError(f"{name} is {kind_of(value)}, which cannot be written here")
    if type(value) is list:
        return ",".join([scalar(item, name) for item in value])
    return text_of(value)


def guard_segment(text: str, name: str) -> None:
    """Refuse what would change the path around it, also for a server that decodes slashes before it routes."""
    if not text:
        raise RenderError(f"{name} is empty and would leave a hole in the path")
    if text in _DOTS or (("/" in text or "\\" in text) and not _DOTS.isdisjoint(_SLASHES.split(text))):
        raise RenderError(f"{name} would leave its place in the path: dot segments are not allowed")


def segment(value: Any, name: str) -> str:
    """A part of one path segment, without the guard."""
    if type(value) is list:
        return ",".join([segment(item, name) for item in value])
    text = scalar(value, name)
    return text if _PLAIN_SEGMENT(text) else _percent(text, "@:!$*'()")


def component(text: str) -> str:
    """A name or value of a query or a form."""
    return text if is_unreserved(text) else _percent(text, "")


def pairs(name: str, value: Any, explode: bool = True, level: int = 0) -> str:
    """`name=value`, for an already encoded name: empty for null and nothing, repeated for a list, `name[key]=…` for
    an object. Without `explode`, a list is joined by commas."""
    kind = type(value)
    if kind is str:
        return f"{name}={component(value)}"
    if value is None or value is MISSING:
        return ""
    if kind is list:
        if not explode:
            joined = ",".join([component(text_of(item)) for item in value if item is not None])
            return f"{name}={joined}" if value else ""
        return "&".join([pair for item in value if (pair := _item(name, item))])
    if kind is dict:
        if level >= _MAX_LEVELS:
            raise RenderError(f"an object is nested more than {_MAX_LEVELS} levels deep")
        inner = ((f"{name}%5B{component(key)}%5D", item) for key, item in value.items())
        return "&".join([pair for key, item in inner if (pair := pairs(key, item, explode, level + 1))])
    return f"{name}={component(text_of(value))}"


def _item(name: str, item: Any) -> str:
    return f"{name}={component(json_of(item))}" if type(item) in (list, dict) else pairs(name, item)


def header(text: str, name: str) -> str:
    """ASCII without control characters. Anything else has no spelling that all servers read alike."""
    if not _VISIBLE(text):
        raise RenderError(f"{name} holds characters that a header cannot carry; `| urlencode` or `| b64encode` can")
    return text


def cookie(text: str) -> str:
    """RFC 6265's cookie-octet; everything else is percent-encoded, `%` too."""
    return text if _COOKIE(text) else _percent(text, "!#$&'()*+./:<=>?@[]^_`{|}~-")


def xml(value: Any, name: str) -> str:
    text = text_of(value)
    if _PLAIN_XML(text):
        return text
    if not (text.isascii() and text.isprintable()) and _XML_REFUSED(text):
        raise RenderError(f"{name} holds characters that XML cannot carry")
    for character, escape in _XML_ESCAPES:
        text = text.replace(character, escape)
    return text


def json_inside(value: Any, name: str) -> str:
    """The content of a JSON string, without its quotes."""
    return json_of(text_of(value))[1:-1]
