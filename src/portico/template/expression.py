"""Expressions: tokens are parsed by precedence, as Jinja has it, straight into closures over a scope.

A `Node` knows which paths it reads, so that whoever renders knows what to provide and `check` knows what is asked for.
"""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from portico.template.errors import RenderError, TemplateError
from portico.template.filters import FILTERS, TESTS
from portico.template.fuel import spend
from portico.template.operators import BINARY
from portico.template.scan import Token, tokens
from portico.template.value import MISSING, kind_of

Evaluate = Callable[[Any], Any]
Key = str | int

MAX_NESTING = 40
MAX_TOKENS = 4_000
MAX_CHAIN = 150

LANGUAGE = "the language has paths, operators, filters, tests, `if … else …`, and range()"
_CONSTANTS = {"true": True, "True": True, "false": False, "False": False, "none": None, "None": None, "null": None}
_KEYWORDS = frozenset({"and", "or", "not", "in", "is", "if", "else", "recursive"})
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f", "0": "\0"}
_COMPARISONS = frozenset({"==", "!=", "<", "<=", ">", ">="})
_NAMED = {
    "request": frozenset({"headers", "query", "cookies"}),
    "response": frozenset({"status", "headers", "json", "text", "base64"}),
    "session": frozenset({"id"}),
}


@dataclass(frozen=True, slots=True)
class Node:
    """A compiled expression. `path` is set where it is nothing but a path, `constant` where it reads nothing."""

    evaluate: Evaluate
    reads: frozenset[tuple[str, ...]]
    offset: int
    path: tuple[Key, ...] | None = None
    constant: bool = False
    height: int = 0

    @property
    def roots(self) -> frozenset[str]:
        return frozenset(path[0] for path in self.reads)

    @property
    def name(self) -> str:
        """What to call it in a sentence: never its value."""
        return f"`{'.'.join(map(str, self.path))}`" if self.path else "the expression"


class Expressions:
    """Compiles the expressions of one source: `roots` may be read; the values of those in `bound` are known already."""

    def __init__(self, roots: frozenset[str], bound: Mapping[str, Any] | None = None) -> None:
        self.roots = roots
        self.bound = bound or {}
        self.locals: set[str] = set()

    def compile(self, text: str, offset: int = 0) -> Node:
        parser = self.parser(text, offset)
        node = parser.expression()
        parser.finish()
        return node

    def parser(self, text: str, offset: int) -> Parser:
        return Parser(self, tokens(text, offset))

    def path(self, keys: tuple[Key, ...], offset: int) -> Node:
        """A path whose first key is a root or a local name."""
        root = keys[0]
        if root in self.locals:
            return Node(_reader(keys), frozenset(), offset, keys)
        reads = frozenset({tuple(str(key) for key in keys)})
        _refuse_unnamed(keys, offset)
        if root in self.bound:
            value = _reader(keys)(self.bound)
            return Node(lambda scope: value, reads, offset, keys, constant=True)
        return Node(_reader(keys), reads, offset, keys)

    def unknown(self, name: str, offset: int) -> TemplateError:
        known = sorted(self.roots | self.locals)
        close = difflib.get_close_matches(name, known, 1)
        mend = f"write `{close[0]}`" if close else f"what can be read here: {', '.join(known) or 'nothing'}"
        return TemplateError(f"there is no `{name}` here", mend, offset)


def _refuse_unnamed(keys: tuple[Key, ...], offset: int) -> None:
    """What of the caller's request and of the secrets is read must be visible without running anything."""
    root, second = keys[0], keys[1] if len(keys) > 1 else None
    if root == "secrets" and not isinstance(second, str):
        raise TemplateError("a secret must be named", "write {{ secrets.NAME }}", offset)
    if root in _NAMED and second not in _NAMED[str(root)]:
        choices = " or ".join(f"{root}.{name}" for name in sorted(_NAMED[str(root)]))
        raise TemplateError(f"`{root}` cannot be read as a whole or by that name", f"read {choices}", offset)
    if root == "request" and not (len(keys) > 2 and isinstance(keys[2], str)):
        mend = f'write the name itself, as in {{{{ request.{second}["x-name"] }}}}'
        raise TemplateError(f"what is read from request.{second} must be named", mend, offset)


def _reader(keys: tuple[Key, ...]) -> Evaluate:
    """A closure for the path; the usual case costs two or three subscriptions and nothing else."""

    def slowly(scope: Any) -> Any:
        value: Any = scope
        for key in keys:
            value = step(value, key)
        return value

    if len(keys) == 2:
        first, second = keys

        def two(scope: Any) -> Any:
            try:
                return scope[first][second]
            except (KeyError, IndexError, TypeError):
                return slowly(scope)

        return two
    if len(keys) == 3:
        first, second, third = keys

        def three(scope: Any) -> Any:
            try:
                return scope[first][second][third]
            except (KeyError, IndexError, TypeError):
                return slowly(scope)

        return three
    return slowly


def step(value: Any, key: Any) -> Any:
    if isinstance(value, Mapping):
        found = value.get(key, MISSING)
        return value.get(str(key), MISSING) if found is MISSING and type(key) is int else found
    if isinstance(value, list | str) and type(key) is int:
        return value[key] if -len(value) <= key < len(value) else MISSING
    return MISSING


def present(value: Any, name: str) -> Any:
    if value is MISSING:
        raise RenderError(f"{name} has no value here; `| default(…)` can give it one")
    return value


class Parser:
    """Recursive descent over one expression's tokens."""

    def __init__(self, language: Expressions, found: list[Token]) -> None:
        if len(found) > MAX_TOKENS:
            raise TemplateError(f"an expression has more than {MAX_TOKENS} words", "make it simpler", found[0].start)
        self.language = language
        self.tokens = found
        self.at = 0
        self.depth = 0

    @property
    def token(self) -> Token:
        return self.tokens[self.at]

    def take(self) -> Token:
        token = self.tokens[self.at]
        self.at += token.kind != "end"
        return token

    def accept(self, *texts: str) -> Token | None:
        token = self.tokens[self.at]
        return self.take() if token.text in texts and token.kind in ("sign", "name") else None

    def expect(self, text: str) -> Token:
        return self.accept(text) or self._refuse(f"`{text}`")

    def name(self) -> Token:
        token = self.take()
        if token.kind != "name" or token.text in _KEYWORDS or token.text in _CONSTANTS:
            self.at -= token.kind != "end"
            self._refuse("a name")
        return token

    def finish(self) -> None:
        if self.token.kind != "end":
            self._refuse("the end of the expression")

    def _refuse(self, wanted: str) -> Any:
        got = f"`{self.token.text}`" if self.token.kind != "end" else "nothing more"
        raise TemplateError(f"{wanted} was expected, but there is {got}", LANGUAGE, self.token.start)

    def expression(self) -> Node:
        self.depth += 1
        if self.depth > MAX_NESTING:
            raise TemplateError("the expression is nested too deeply", "make it simpler", self.token.start)
        node = self._either()
        while self.accept("if"):
            condition = self._either()
            otherwise = self.expression() if self.accept("else") else None
            node = self._choice(node, condition, otherwise)
        self.depth -= 1
        return node

    def _choice(self, node: Node, condition: Node, otherwise: Node | None) -> Node:
        then, test = node.evaluate, condition.evaluate
        other = otherwise.evaluate if otherwise else lambda scope: MISSING
        parts = [node, condition, *([otherwise] if otherwise else [])]
        return self._combine(parts, lambda scope: then(scope) if test(scope) else other(scope))

    def _combine(self, parts: Iterable[Node], evaluate: Callable[[Any], Any], offset: int | None = None) -> Node:
        parts = list(parts)
        reads = frozenset().union(*(part.reads for part in parts)) if parts else frozenset()
        start = parts[0].offset if offset is None else offset
        height = 1 + max((part.height for part in parts), default=0)
        if height > MAX_CHAIN:
            raise TemplateError(f"more than {MAX_CHAIN} operations in a row", "make the expression simpler", start)
        return Node(evaluate, reads, start, constant=all(part.constant for part in parts), height=height)

    def _either(self) -> Node:
        node = self._both()
        while self.accept("or"):
            right = self._both()
            node = self._combine((node, right), _or(node.evaluate, right.evaluate))
        return node

    def _both(self) -> Node:
        node = self._negated()
        while self.accept("and"):
            right = self._negated()
            node = self._combine((node, right), _and(node.evaluate, right.evaluate))
        return node

    def _negated(self) -> Node:
        nots = 0
        while self.accept("not"):
            nots += 1
        node = self._comparison()
        if not nots:
            return node
        inner, even = node.evaluate, nots % 2 == 0
        return self._combine((node,), lambda scope: bool(inner(scope)) is even)

    def _comparison(self) -> Node:
        left = self._sum()
        tests: list[Node] = []
        while sign := self._comparing():
            right = self._sum()
            tests.append(self._binary(sign, left, right))
            left = right
        if not tests:
            return left
        node = tests[0]
        for test in tests[1:]:
            node = self._combine((node, test), _and(node.evaluate, test.evaluate))
        return node

    def _comparing(self) -> str | None:
        if self.token.kind == "sign" and self.token.text in _COMPARISONS:
            return self.take().text
        if self.token.text == "not" and self.tokens[self.at + 1].text == "in":
            self.at += 2
            return "not in"
        return "in" if self.accept("in") else None

    def _binary(self, sign: str, left: Node, right: Node) -> Node:
        apply, a, b, left_name, right_name = BINARY[sign], left.evaluate, right.evaluate, left.name, right.name

        def evaluate(scope: Any) -> Any:
            spend(scope, 1)
            one, other = present(a(scope), left_name), present(b(scope), right_name)
            try:
                return apply(scope, one, other)
            except (ArithmeticError, TypeError, ValueError, RecursionError):
                raise RenderError(f"`{sign}` cannot be computed with these values") from None

        return self._combine((left, right), evaluate)

    def _chain(self, signs: tuple[str, ...], operand: Callable[[], Node]) -> Node:
        node = operand()
        while self.token.kind == "sign" and self.token.text in signs:
            sign = self.take().text
            node = self._binary(sign, node, operand())
        return node

    def _sum(self) -> Node:
        return self._chain(("+", "-"), self._concatenation)

    def _concatenation(self) -> Node:
        return self._chain(("~",), self._product)

    def _product(self) -> Node:
        return self._chain(("*", "/", "//", "%"), self._signed)

    def _signed(self) -> Node:
        start, negative = self.token.start, False
        while self.token.kind == "sign" and self.token.text in ("-", "+"):
            negative ^= self.take().text == "-"
            start = min(start, self.token.start)
        node = self._chain(("**",), self._filtered)
        if not negative:
            return node
        zero = Node(lambda scope: 0, frozenset(), start, constant=True)
        return self._binary("-", zero, node)

    def _filtered(self) -> Node:
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
        elif self.token.kind in ("number", "string") or (
            self.token.kind == "name" and self.token.text not in _KEYWORDS
        ):
            positional = [self._postfix(self._primary())]
        tolerant = token.text in ("defined", "undefined")
        called = self._call(TESTS[token.text], token, node, positional, named, tolerant)
        if not refused:
            return called
        inner = called.evaluate
        return self._combine((called,), lambda scope: not inner(scope))

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

        return self._combine((node, *positional, *named.values()), evaluate)

    def _primary(self) -> Node:
        token = self.take()
        if token.kind == "number":
            return _literal(_number(token), token.start)
        if token.kind == "string":
            return _literal(_unquoted(token), token.start)
        if token.kind == "sign" and token.text == "(":
            node = self.expression()
            self.expect(")")
            return Node(node.evaluate, node.reads, node.offset, None, node.constant, node.height)
        if token.kind == "sign" and token.text == "[":
            return self._list(token)
        if token.kind == "sign" and token.text == "{":
            return self._object(token)
        if token.kind != "name" or token.text in _KEYWORDS:
            self.at -= token.kind != "end"
            self._refuse("a value")
        if token.text in _CONSTANTS:
            return _literal(_CONSTANTS[token.text], token.start)
        if token.text == "range" and self.accept("("):
            return self._range(token)
        if token.text not in self.language.roots and token.text not in self.language.locals:
            raise self.language.unknown(token.text, token.start)
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
        return self.language.path(tuple(keys), token.start)

    def _key(self, keys: list[Key]) -> Key:
        """What follows a dot. Names of headers, cookies and query parameters may hold a hyphen."""
        token = self.take()
        if token.kind not in ("name", "number") or (token.kind == "number" and not token.text.isdigit()):
            self.at -= token.kind != "end"
            self._refuse("a name")
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
            return _unquoted(key) if key.kind == "string" else _number(key)
        return None

    def _postfix(self, node: Node) -> Node:
        while True:
            if self.token.kind != "sign":
                return node
            if self.accept("."):
                key = self._key([])
                inner = node.evaluate
                node = self._combine((node,), lambda scope, inner=inner, key=key: step(inner(scope), key))
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
            return self._combine((node, begin), lambda scope: step(inner(scope), _index(index(scope))))
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

        return self._combine((node, *parts), evaluate)

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

        return self._combine(items, evaluate, opening.start)

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

        return self._combine([node for entry in entries for node in entry], evaluate, opening.start)

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

        return self._combine(positional, evaluate, token.start)


def _or(a: Evaluate, b: Evaluate) -> Evaluate:
    return lambda scope: a(scope) or b(scope)


def _and(a: Evaluate, b: Evaluate) -> Evaluate:
    return lambda scope: a(scope) and b(scope)


def _literal(value: Any, offset: int) -> Node:
    return Node(lambda scope: value, frozenset(), offset, constant=True)


def _number(token: Token) -> Any:
    if len(token.text) > 40:
        raise TemplateError("a number is written too long", "use at most 40 characters", token.start)
    return int(token.text) if token.text.isdigit() else float(token.text)


def _unquoted(token: Token) -> str:
    body, out, at = token.text[1:-1], [], 0
    while (slash := body.find("\\", at)) >= 0:
        out.append(body[at:slash])
        escaped = body[slash + 1]
        if escaped == "u" and len(digits := body[slash + 2 : slash + 6]) == 4:
            try:
                out.append(bytes.fromhex(digits).decode("utf-16-be"))
            except ValueError:
                raise TemplateError(
                    "`\\u` needs four hexadecimal digits that are a character", "write \\u00e9", token.start
                ) from None
            at = slash + 6
            continue
        out.append(_ESCAPES.get(escaped, escaped))
        at = slash + 2
    return "".join([*out, body[at:]])


def _index(key: Any) -> Any:
    if type(key) is str or type(key) is int:
        return key
    raise RenderError("an index must be text or a whole number")


def _bound(value: Any) -> int:
    if type(value) is not int:
        raise RenderError("a slice needs whole numbers")
    return value
