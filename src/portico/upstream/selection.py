"""`response.select`: JMESPath, held to work that its expression and the answer justify."""

from __future__ import annotations

from typing import Any

import jmespath
from jmespath.exceptions import JMESPathError

from portico.template import RenderError, TemplateError
from portico.template.fuel import fuelled, weigh

MAX_SOURCE = 4_096
_MAX_GROWTH = 256


class Select:
    """`of(value)` gives plain JSON values; RenderError where the expression does not fit the answer."""

    def __init__(self, source: str) -> None:
        mend = "write a JMESPath expression, such as items[].name"
        if len(source) > MAX_SOURCE:
            raise TemplateError(f"`select` is longer than {MAX_SOURCE} characters", mend)
        try:
            self._search = jmespath.compile(source)
            growth, works = _growth(self._search.parsed)
        except JMESPathError as error:
            raise TemplateError(f"`select` is no JMESPath: {str(error).splitlines()[0]}", mend) from None
        except RecursionError:
            raise TemplateError("`select` is nested too deeply", mend) from None
        # A value that is repeated costs nothing until something walks through it, and functions do.
        if works and growth > _MAX_GROWTH:
            raise TemplateError("`select` builds too much before it calls a function", "make it simpler")

    def of(self, value: Any) -> Any:
        try:
            return weigh(fuelled({}), self._search.search(value))
        except RenderError:
            raise RenderError("`select` makes too much of the answer") from None
        except (JMESPathError, TypeError, ValueError, ArithmeticError, RecursionError, AttributeError):
            raise RenderError("`select` does not fit the answer") from None


def _growth(node: Any) -> tuple[int, bool]:
    """By how much lists and objects that the expression builds can multiply its input; whether it calls functions."""
    growth, works = 1, node["type"] in ("function_expression", "comparator")
    for child in node.get("children", ()):
        if isinstance(child, dict) and "type" in child:
            inner, called = _growth(child)
            growth, works = growth * inner, works or called
    if node["type"] in ("multi_select_list", "multi_select_dict"):
        growth *= max(1, len(node["children"]))
    return min(growth, 10**9), works
