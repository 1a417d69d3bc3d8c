"""Filters (`value | name(…)`) and tests (`value is name`), by the names that Jinja gives them.

A filter takes the scope (whose fuel it spends), the value and its arguments. Only `default` and the tests `defined` and
`undefined` meet a value that is missing.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable
from typing import Any
from urllib.parse import quote, urlencode

from portico.template.errors import RenderError
from portico.template.fuel import spend, weigh
from portico.template.operators import contains, equal
from portico.template.value import MISSING, is_number, json_of, kind_of, text_of

Scope = dict[str, Any]


def _text(scope: Scope, value: Any, name: str) -> str:
    if type(value) is not str:
        raise RenderError(f"the filter `{name}` needs text, not {kind_of(value)}")
    return weigh(scope, value)


def _list(scope: Scope, value: Any, name: str) -> list[Any]:
    if type(value) is str or type(value) is dict:
        value = list(value)
    if type(value) is not list:
        raise RenderError(f"the filter `{name}` needs a list, not {kind_of(value)}")
    spend(scope, 1 + len(value))
    return value


def _integer(value: Any, name: str) -> int:
    if type(value) is not int:
        raise RenderError(f"the filter `{name}` needs a whole number, not {kind_of(value)}")
    return value


def reach(value: Any, dotted: str) -> Any:
    """The value at `a.b.0` below a value, or MISSING."""
    for key in dotted.split("."):
        if type(value) is dict:
            value = value.get(key, MISSING)
        elif type(value) is list and key.isdigit() and len(key) < 10:
            value = value[int(key)] if int(key) < len(value) else MISSING
        else:
            return MISSING
    return value


def default(scope: Scope, value: Any, fallback: Any = "", falsy: Any = False) -> Any:
    return fallback if value is MISSING or (falsy and not value) else value


def _case(name: str) -> Callable[[Scope, Any], str]:
    return lambda scope, value: getattr(_text(scope, value, name), name)()


def trim(scope: Scope, value: Any, characters: Any = None) -> str:
    if characters is not None and len(_text(scope, characters, "trim")) > 100:
        raise RenderError("the filter `trim` takes at most 100 characters")
    return _text(scope, value, "trim").strip(characters)


def replace(scope: Scope, value: Any, old: Any, new: Any) -> str:
    value, old, new = (_text(scope, part, "replace") for part in (value, old, new))
    spend(scope, len(value) * (1 + len(new)) >> 6 if not old else value.count(old) * (1 + len(new)) >> 6)
    return value.replace(old, new)


def split(scope: Scope, value: Any, separator: Any = None, most: Any = -1) -> list[str]:
    if separator is not None and (type(separator) is not str or not separator):
        raise RenderError("the filter `split` needs a separator of at least one character")
    parts = _text(scope, value, "split").split(separator, _integer(most, "split"))
    spend(scope, len(parts))
    return parts


def join(scope: Scope, value: Any, separator: Any = "", attribute: Any = None) -> str:
    items = _list(scope, value, "join")
    separator = _text(scope, separator, "join")
    spend(scope, len(items) * len(separator) >> 6)
    if attribute is not None:
        items = [reach(item, text_of(attribute)) for item in items]
    return separator.join([text_of(weigh(scope, item)) for item in items if item is not MISSING])


def length(scope: Scope, value: Any) -> int:
    if not isinstance(value, str | list | dict):
        raise RenderError(f"{kind_of(value)} has no length")
    return len(value)


def first(scope: Scope, value: Any) -> Any:
    items = _list(scope, value, "first")
    return items[0] if items else MISSING


def last(scope: Scope, value: Any) -> Any:
    items = _list(scope, value, "last")
    return items[-1] if items else MISSING


def reverse(scope: Scope, value: Any) -> Any:
    return _text(scope, value, "reverse")[::-1] if type(value) is str else _list(scope, value, "reverse")[::-1]


def _keys(scope: Scope, items: list[Any], attribute: Any, name: str) -> list[Any]:
    keys = [item if attribute is None else reach(item, text_of(attribute)) for item in items]
    if not (all(is_number(key) for key in keys) or all(type(key) is str for key in keys)):
        raise RenderError(f"the filter `{name}` needs numbers only or texts only")
    for key in keys:
        weigh(scope, key)
    return keys


def sort(scope: Scope, value: Any, reverse: Any = False, attribute: Any = None) -> list[Any]:
    items = _list(scope, value, "sort")
    spend(scope, len(items) * 4)
    keys = _keys(scope, items, attribute, "sort")
    return [items[i] for i in sorted(range(len(items)), key=keys.__getitem__, reverse=bool(reverse))]


def unique(scope: Scope, value: Any) -> list[Any]:
    items = _list(scope, value, "unique")
    return list({json_of(weigh(scope, item)): item for item in reversed(items)}.values())[::-1]


def total(scope: Scope, value: Any, attribute: Any = None, start: Any = 0) -> Any:
    items = [item if attribute is None else reach(item, text_of(attribute)) for item in _list(scope, value, "sum")]
    if not all(is_number(item) for item in (*items, start)):
        raise RenderError("the filter `sum` needs numbers only")
    return sum(items, start)


def _extreme(name: str, choose: Callable[..., Any]) -> Callable[..., Any]:
    def apply(scope: Scope, value: Any, attribute: Any = None) -> Any:
        items = _list(scope, value, name)
        keys = _keys(scope, items, attribute, name)
        return items[choose(range(len(items)), key=keys.__getitem__)] if items else MISSING

    return apply


def absolute(scope: Scope, value: Any) -> Any:
    if not is_number(value):
        raise RenderError(f"the filter `abs` needs a number, not {kind_of(value)}")
    return abs(value)


def rounded(scope: Scope, value: Any, precision: Any = 0) -> Any:
    if not is_number(value):
        raise RenderError(f"the filter `round` needs a number, not {kind_of(value)}")
    digits = max(-300, min(300, _integer(precision, "round")))
    return round(value, digits) if digits else (value if type(value) is int else float(round(value)))


def integer(scope: Scope, value: Any, fallback: Any = MISSING) -> Any:
    return _converted(value, int, fallback, "a whole number")


def floating(scope: Scope, value: Any, fallback: Any = MISSING) -> Any:
    return _converted(value, float, fallback, "a number")


def _converted(value: Any, kind: type, fallback: Any, name: str) -> Any:
    try:
        if isinstance(value, bool | int | float) or (type(value) is str and len(value) <= 1000):
            return kind(value)
    except (ValueError, OverflowError):
        pass
    if fallback is MISSING:
        raise RenderError(f"{kind_of(value)} cannot be read as {name}")
    return fallback


def string(scope: Scope, value: Any) -> str:
    return text_of(weigh(scope, value))


def tojson(scope: Scope, value: Any) -> str:
    return json_of(weigh(scope, value))


def b64encode(scope: Scope, value: Any) -> str:
    return base64.b64encode(encoded(_text(scope, value, "b64encode"))).decode()


def b64decode(scope: Scope, value: Any) -> str:
    try:
        return base64.b64decode(encoded(_text(scope, value, "b64decode")), validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        raise RenderError("the filter `b64decode` needs base64 of a UTF-8 text") from None


def encoded(value: str) -> bytes:
    try:
        return value.encode()
    except UnicodeEncodeError:
        raise RenderError("a text holds half of a surrogate pair, which no encoding can carry") from None


def percent_encoded(scope: Scope, value: Any) -> str:
    weigh(scope, value)
    if type(value) is dict:
        return urlencode([(key, encoded(text_of(item))) for key, item in value.items()], quote_via=quote)
    return quote(encoded(text_of(value)), safe="")


def items(scope: Scope, value: Any) -> list[list[Any]]:
    if type(value) is not dict:
        raise RenderError(f"the filter `items` needs an object, not {kind_of(value)}")
    spend(scope, len(value))
    return [[key, item] for key, item in value.items()]


def indent(scope: Scope, value: Any, width: Any = 4, first: Any = False) -> str:
    margin = " " * max(0, min(100, _integer(width, "indent")))
    text = _text(scope, value, "indent")
    spend(scope, text.count("\n") * 2)
    return (margin if first else "") + text.replace("\n", "\n" + margin)


def mapped(scope: Scope, value: Any, name: Any = None, *arguments: Any, attribute: Any = None) -> list[Any]:
    chosen = _list(scope, value, "map")
    if attribute is not None:
        return [found for item in chosen if (found := reach(item, text_of(attribute))) is not MISSING]
    if name not in FILTERS or name == "map":
        raise RenderError('the filter `map` needs the name of a filter, or attribute="…"')
    return [_called(FILTERS[name], scope, item, arguments) for item in chosen]


def _called(function: Callable[..., Any], scope: Scope, item: Any, arguments: tuple[Any, ...]) -> Any:
    try:
        return function(scope, item, *arguments)
    except TypeError:
        raise RenderError("a filter or test inside of a filter has the wrong number of arguments") from None


def _chooser(wanted: bool, by_attribute: bool) -> Callable[..., list[Any]]:
    def apply(scope: Scope, value: Any, *arguments: Any) -> list[Any]:
        chosen = _list(scope, value, "select")
        attribute, arguments = (text_of(arguments[0]), arguments[1:]) if by_attribute and arguments else ("", arguments)
        name, arguments = (arguments[0], arguments[1:]) if arguments else ("truthy", ())
        if name not in TESTS:
            raise RenderError("a filter that chooses needs the name of a test")
        subject = (lambda item: reach(item, attribute)) if by_attribute else (lambda item: item)
        return [item for item in chosen if _called(TESTS[name], scope, subject(item), arguments) is wanted]

    return apply


FILTERS: dict[str, Callable[..., Any]] = {
    "abs": absolute,
    "b64decode": b64decode,
    "b64encode": b64encode,
    "capitalize": _case("capitalize"),
    "count": length,
    "d": default,
    "default": default,
    "first": first,
    "float": floating,
    "indent": indent,
    "int": integer,
    "items": items,
    "join": join,
    "json": tojson,
    "last": last,
    "length": length,
    "list": lambda scope, value: list(_list(scope, value, "list")),
    "lower": _case("lower"),
    "map": mapped,
    "max": _extreme("max", max),
    "min": _extreme("min", min),
    "reject": _chooser(False, False),
    "rejectattr": _chooser(False, True),
    "replace": replace,
    "reverse": reverse,
    "round": rounded,
    "select": _chooser(True, False),
    "selectattr": _chooser(True, True),
    "sort": sort,
    "split": split,
    "string": string,
    "sum": total,
    "title": _case("title"),
    "tojson": tojson,
    "trim": trim,
    "unique": unique,
    "upper": _case("upper"),
    "urlencode": percent_encoded,
}

TESTS: dict[str, Callable[..., bool]] = {
    "boolean": lambda scope, value: type(value) is bool,
    "defined": lambda scope, value: value is not MISSING,
    "divisibleby": lambda scope, value, by: type(value) is int and type(by) is int and by != 0 and value % by == 0,
    "eq": equal,
    "equalto": equal,
    "even": lambda scope, value: type(value) is int and value % 2 == 0,
    "false": lambda scope, value: value is False,
    "in": contains,
    "integer": lambda scope, value: type(value) is int,
    "iterable": lambda scope, value: isinstance(value, str | list | dict),
    "mapping": lambda scope, value: type(value) is dict,
    "ne": lambda scope, value, other: not equal(scope, value, other),
    "none": lambda scope, value: value is None,
    "null": lambda scope, value: value is None,
    "number": lambda scope, value: is_number(value),
    "odd": lambda scope, value: type(value) is int and value % 2 == 1,
    "sequence": lambda scope, value: type(value) is list,
    "string": lambda scope, value: type(value) is str,
    "true": lambda scope, value: value is True,
    "truthy": lambda scope, value: bool(value),
    "undefined": lambda scope, value: value is MISSING,
}
