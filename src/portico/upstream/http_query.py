"""The query of a tool's request: what the URL has, then templates, then arguments."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from portico.config.document import Tool
from portico.template import Template, UrlTemplate, compile_value
from portico.template import encode as places
from portico.template.encode import is_unreserved

Scope = dict[str, Any]


class Query:
    """What is added to the query that the URL itself has: templates first, then arguments."""

    def __init__(self, tool: Tool, url: UrlTemplate, compiled: Callable[..., Template]) -> None:
        templates = [(name, compiled(compile_value, value)) for name, value in tool.request.query.items()]
        self.reads: frozenset[tuple[str, ...]] = frozenset().union(*(template.reads for _, template in templates))
        self.secret = any(read[0] == "secrets" for read in self.reads)
        self._written = [
            (places.component(name), template.render, any(read[0] == "secrets" for read in template.reads))
            for name, template in templates
        ]
        self._given = [
            (places.component(arg.send_as or arg.name), arg.name, arg.explode)
            for arg in tool.args or []
            if arg.position == "query"
        ]
        self.is_empty = not (url.query or self._written or self._given)
        self.only_given = not (url.query or self._written)

    def render(self, url: UrlTemplate, scope: Scope, url_scope: Any, masked: bool = False) -> str:
        """With its question mark, or nothing at all."""
        pairs = [pair if isinstance(pair, str) else pair(url_scope) for pair in url.query]
        if self._written:
            pairs += [
                f"{name}=REDACTED" if masked and secret else places.pairs(name, value(scope))
                for name, value, secret in self._written
            ]
        if self._given:
            pairs.append(self.given(scope["args"]))
        text = "&".join([pair for pair in pairs if pair])
        return f"?{text}" if text else ""

    def given(self, arguments: dict[str, Any]) -> str:
        """The part that is made of arguments."""
        pairs = []
        for sent, name, explode in self._given:
            value = arguments.get(name)
            # Texts and whole numbers are nearly all that is ever given.
            if (type(value) is str and is_unreserved(value)) or type(value) is int:
                pairs.append(f"{sent}={value}")
            elif value is not None and (pair := places.pairs(sent, value, explode)):
                pairs.append(pair)
        return "&".join(pairs)
