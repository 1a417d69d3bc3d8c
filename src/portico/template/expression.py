"""Expressions: operands and operators, by precedence as Jinja has it, straight into closures over a scope."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from portico.template.errors import RenderError, TemplateError
from portico.template.fuel import spend
from portico.template.names import Names
from portico.template.node import Evaluate, Node, combined, literal, present
from portico.template.operand import Operands
from portico.template.operators import BINARY
from portico.template.scan import tokens
from portico.template.value import MISSING

MAX_NESTING = 40
_COMPARISONS = frozenset({"==", "!=", "<", "<=", ">", ">="})


class Expressions(Names):
    """Compiles the expressions of one source."""

    def compile(self, text: str, offset: int = 0) -> Node:
        parser = self.parser(text, offset)
        node = parser.expression()
        parser.finish()
        return node

    def parser(self, text: str, offset: int) -> Parser:
        return Parser(self, tokens(text, offset))


class Parser(Operands):
    """Recursive descent over one expression's tokens; `condition` is an expression without an `if` of its own."""

    nesting = 0

    def expression(self) -> Node:
        self.nesting += 1
        if self.nesting > MAX_NESTING:
            raise TemplateError("the expression is nested too deeply", "make it simpler", self.token.start)
        node = self.condition()
        while self.accept("if"):
            condition = self.condition()
            otherwise = self.expression() if self.accept("else") else None
            node = self._choice(node, condition, otherwise)
        self.nesting -= 1
        return node

    def _choice(self, node: Node, condition: Node, otherwise: Node | None) -> Node:
        then, test = node.evaluate, condition.evaluate
        other = otherwise.evaluate if otherwise else lambda scope: MISSING
        parts = [node, condition, *([otherwise] if otherwise else [])]
        return combined(parts, lambda scope: then(scope) if test(scope) else other(scope))

    def condition(self) -> Node:
        node = self._both()
        while self.accept("or"):
            right = self._both()
            node = combined((node, right), _or(node.evaluate, right.evaluate))
        return node

    def _both(self) -> Node:
        node = self._negated()
        while self.accept("and"):
            right = self._negated()
            node = combined((node, right), _and(node.evaluate, right.evaluate))
        return node

    def _negated(self) -> Node:
        nots = 0
        while self.accept("not"):
            nots += 1
        node = self._comparison()
        if not nots:
            return node
        inner, even = node.evaluate, nots % 2 == 0
        return combined((node,), lambda scope: bool(inner(scope)) is even)

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
            node = combined((node, test), _and(node.evaluate, test.evaluate))
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

        return combined((left, right), evaluate)

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
        node = self._chain(("**",), self.operand)
        if not negative:
            return node
        return self._binary("-", literal(0, start), node)


def _or(a: Evaluate, b: Evaluate) -> Evaluate:
    return lambda scope: a(scope) or b(scope)


def _and(a: Evaluate, b: Evaluate) -> Evaluate:
    return lambda scope: a(scope) and b(scope)
