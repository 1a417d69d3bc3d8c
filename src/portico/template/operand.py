"""Operands: literals, paths, lists, objects, and what is hung on to them: indexes, filters and tests."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Callable, Mapping
from typing import Any

from portico.template.cursor import CONSTANTS, KEYWORDS, Cursor, number, unquoted
from portico.template.errors import RenderError, TemplateError
from portico.template.filters import FILTERS, TESTS
from portico.template.fuel import spend
from portico.template.names import Names
from portico.template.node import Key, Node, combined, literal, present, step
from portico.template.scan import Token
from portico.template.value import MISSING, kind_of


class Operands(Cursor):
    """Reads one operand; `expression` is for what stands in brackets."""

    def __init__(self, names: Names, found: list[Token]) -> None:
        super().__init__(found)
        self.names = names

    def expression(self) -> Node:
        raise NotImplementedError

    def operand(self) -> Node:
        node = self._postfix(self._primary())
        while True:
            if self.accept("|"):
                node = self._filter(node)
            elif self.accept("is"):
                node = self._test(node)
            elif self.token.text in (".", "[") and self.token.kind == "sign":
                node = self._postfix(node)
            else:
                return node

    def _primary(self) -> Node:
        token = self.take()
        if token.kind == "number":
            return literal(number(token), token.start)
        if token.kind == "string":
            return literal(unquoted(token), token.start)
        if token.kind == "sign" and token.text == "(":
            node = self.expression()
            self.expect(")")
            return Node(node.evaluate, node.reads, node.offset, None, node.constant, node.height)
        if token.kind == "sign" and token.text == "[":
            return self._list(token)
        if token.kind == "sign" and token.text == "{":
            return self._object(token)
        if token.kind != "name" or token.text in KEYWORDS:
            self.at -= token.kind != "end"
            self.refuse("a value")
        if token.text in CONSTANTS:
            return literal(CONSTANTS[token.text], token.start)
        if token.text == "range" and self.accept("("):
            return self._range(token)
        if token.text not in self.names.roots and token.text not in self.names.locals:
            raise self.names.unknown(token.text, token.start)
        return self._path(token)

    def _path(self, token: Token) -> Node:
        keys: list[Key] = [token.text]
        while True:
            if self.token.text == "." and self.token.kind == "sign":
                self.take()
                keys.append(self._key(keys))
            elif self.token.text == "[" and (key := self._literal_index()) is not None:
                keys.append(key)
            else:
                break
        if len(keys) > 2 and tuple(keys[:2]) in (("request", "headers"), ("response", "headers")):
            keys[2] = str(keys[2]).lower()
        return self.names.path(tuple(keys), token.start)

    def _key(self, keys: list[Key]) -> Key:
        """What follows a dot. Names of headers, cookies and query parameters may hold a hyphen."""
        token = self.take()
        if token.kind not in ("name", "number") or (token.kind == "number" and not token.text.isdigit()):
            self.at -= token.kind != "end"
            self.refuse("a name")
        hyphened = len(keys) == 2 and (keys[0] == "request" or tuple(keys) == ("response", "headers"))
        if not hyphened:
            return int(token.text) if token.kind == "number" else token.text
        text, end = token.text, token.end
        while self.token.start == end and (self.token.text == "-" or self.token.kind in ("name", "number")):
            end = self.token.end
            text += self.take().text
        return text

    def _literal_index(self) -> Key | None:
        key, closing = self.tokens[self.at + 1 : self.at + 3] if len(self.tokens) > self.at + 2 else (None, None)
        if key is None or closing is None or closing.text != "]" or closing.kind != "sign":
            return None
        if key.kind == "string" or (key.kind == "number" and key.text.isdigit()):
            self.at += 3
            return unquoted(key) if key.kind == "string" else number(key)
        return None

    def _postfix(self, node: Node) -> Node:
        while True:
            if self.token.kind != "sign":
                return node
            if self.accept("."):
                key = self._key([])
                inner = node.evaluate
                node = combined((node,), lambda scope, inner=inner, key=key: step(inner(scope), key))
            elif self.accept("["):
                node = self._subscript(node)
            elif self.token.text == "(":
                raise TemplateError(
                    "nothing but range() can be called", "use a filter, such as `| upper`", self.token.start
                )
            else:
                return node

    def _subscript(self, node: Node) -> Node:
        begin = None if self.token.text == ":" else self.expression()
        if not self.accept(":"):
            self.expect("]")
            assert begin is not None
            inner, index = node.evaluate, begin.evaluate
            return combined((node, begin), lambda scope: step(inner(scope), _index(index(scope))))
        end = None if self.token.text == "]" else self.expression()
        self.expect("]")
        parts = [part for part in (begin, end) if part is not None]
        inner, first, last = node.evaluate, begin and begin.evaluate, end and end.evaluate

        def evaluate(scope: Any) -> Any:
            value = present(inner(scope), node.name)
            bounds = [None if bound is None else _bound(bound(scope)) for bound in (first, last)]
            if not isinstance(value, str | list):
                raise RenderError(f"{kind_of(value)} cannot be cut")
            spend(scope, 1 + (len(value) >> 6 if isinstance(value, str) else len(value)))
            return value[bounds[0] : bounds[1]]

        return combined((node, *parts), evaluate)

    def _list(self, opening: Token) -> Node:
        items: list[Node] = []
        while not self.accept("]"):
            items.append(self.expression())
            if not self.accept(","):
                self.expect("]")
                break
        parts = [item.evaluate for item in items]

        def evaluate(scope: Any) -> list[Any]:
            return [value for part in parts if (value := part(scope)) is not MISSING]

        return combined(items, evaluate, opening.start)

    def _object(self, opening: Token) -> Node:
        entries: list[tuple[Node, Node]] = []
        while not self.accept("}"):
            key = self.expression()
            self.expect(":")
            entries.append((key, self.expression()))
            if not self.accept(","):
                self.expect("}")
                break
        parts = [(key.evaluate, value.evaluate) for key, value in entries]

        def evaluate(scope: Any) -> dict[str, Any]:
            made: dict[str, Any] = {}
            for key, value in parts:
                name, item = key(scope), value(scope)
                if type(name) is not str:
                    raise RenderError("a key of an object must be text")
                if item is not MISSING:
                    made[name] = item
            return made

        return combined([node for entry in entries for node in entry], evaluate, opening.start)

    def _range(self, token: Token) -> Node:
        positional, named = self._arguments()
        if named or not 1 <= len(positional) <= 3:
            raise TemplateError("range() takes one to three numbers", "write range(10)", token.start)
        parts = [part.evaluate for part in positional]

        def evaluate(scope: Any) -> list[int]:
            bounds = [part(scope) for part in parts]
            if not all(type(bound) is int for bound in bounds) or (len(bounds) == 3 and bounds[2] == 0):
                raise RenderError("range() needs whole numbers, and a step that is not zero")
            numbers = range(*bounds)
            spend(scope, min(len(numbers), 10**9) if max(map(abs, bounds)) < 2**62 else 10**9)
            return list(numbers)

        return combined(positional, evaluate, token.start)

    def _filter(self, node: Node) -> Node:
        token = self.name()
        if token.text not in FILTERS:
            raise self._unknown("filter", token, FILTERS)
        positional, named = self._arguments() if self.accept("(") else ([], {})
        return self._call(FILTERS[token.text], token, node, positional, named, token.text in ("default", "d"))

    def _test(self, node: Node) -> Node:
        refused = bool(self.accept("not"))
        token = self.take()
        if token.kind != "name" or token.text not in TESTS:
            raise self._unknown("test", token, TESTS)
        positional, named = [], {}
        if self.accept("("):
            positional, named = self._arguments()
        elif self.token.kind in ("number", "string") or (self.token.kind == "name" and self.token.text not in KEYWORDS):
            positional = [self._postfix(self._primary())]
        tolerant = token.text in ("defined", "undefined")
        called = self._call(TESTS[token.text], token, node, positional, named, tolerant)
        if not refused:
            return called
        inner = called.evaluate
        return combined((called,), lambda scope: not inner(scope))

    def _arguments(self) -> tuple[list[Node], dict[str, Node]]:
        positional: list[Node] = []
        named: dict[str, Node] = {}
        while not self.accept(")"):
            follows = self.tokens[min(self.at + 1, len(self.tokens) - 1)]
            if self.token.kind == "name" and follows.kind == "sign" and follows.text == "=":
                key = self.take().text
                self.take()
                named[key] = self.expression()
            else:
                positional.append(self.expression())
            if not self.accept(","):
                self.expect(")")
                break
        return positional, named

    def _unknown(self, what: str, token: Token, known: Mapping[str, Any]) -> TemplateError:
        close = difflib.get_close_matches(token.text, known, 1)
        mend = f"write `{close[0]}`" if close else f"the {what}s are {', '.join(sorted(known))}"
        return TemplateError(f"there is no {what} `{token.text}`", mend, token.start)

    def _call(
        self,
        function: Callable[..., Any],
        token: Token,
        node: Node,
        positional: list[Node],
        named: dict[str, Node],
        tolerant: bool,
    ) -> Node:
        try:
            inspect.signature(function).bind(None, None, *positional, **named)
        except TypeError:
            raise TemplateError(
                f"`{token.text}` does not take these arguments", "see the list of filters and tests", token.start
            ) from None
        subject, name = node.evaluate, node.name
        arguments = [(argument.evaluate, argument.name) for argument in positional]
        keywords = [(key, argument.evaluate, argument.name) for key, argument in named.items()]

        def evaluate(scope: Any) -> Any:
            spend(scope, 1)
            value = subject(scope)
            if value is MISSING and not tolerant:
                present(value, name)
            given = [present(argument(scope), label) for argument, label in arguments]
            extra = {key: present(argument(scope), label) for key, argument, label in keywords}
            try:
                return function(scope, value, *given, **extra)
            except (ArithmeticError, TypeError, ValueError, RecursionError):
                raise RenderError(f"`{token.text}` cannot be computed with these values") from None

        return combined((node, *positional, *named.values()), evaluate)


def _index(key: Any) -> Any:
    if type(key) is str or type(key) is int:
        return key
    raise RenderError("an index must be text or a whole number")


def _bound(value: Any) -> int:
    if type(value) is not int:
        raise RenderError("a slice needs whole numbers")
    return value
