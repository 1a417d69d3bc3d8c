"""What a template is, what all kinds of them share, and the kind of one line: a header's value."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from portico.template import encode
from portico.template.errors import RenderError, TemplateError
from portico.template.expression import Expressions
from portico.template.fuel import fuelled, spend_output, weigh
from portico.template.node import Evaluate, Node, present
from portico.template.scan import Piece, scan
from portico.template.value import MISSING

Bound = Mapping[str, Any] | None


class Template:
    """Something to render. `reads` are the paths it may ask the context for, as far as they can be known beforehand."""

    __slots__ = ("constant", "reads", "render")

    def __init__(
        self, reads: frozenset[tuple[str, ...]], render: Callable[[Mapping[str, Any]], Any], constant: bool = False
    ) -> None:
        self.reads = reads
        self.render = render
        self.constant = constant


def reads_of(nodes: list[Node]) -> frozenset[tuple[str, ...]]:
    return frozenset().union(*(node.reads for node in nodes)) if nodes else frozenset()


def needs_fuel(nodes: list[Node]) -> bool:
    return any(not node.is_input for node in nodes)


def with_fuel(nodes: list[Node], render: Evaluate) -> Evaluate:
    """Plain paths do a bounded thing and go without; everything else gets a tank."""
    return (lambda context: render(fuelled(context))) if needs_fuel(nodes) else render


def checked(node: Node) -> Evaluate:
    """The node's value, paid for: what an expression built may be larger than what it was built from."""
    if node.is_input and node.path and node.path[0] == "secrets":
        return _required(node)
    if node.is_input:
        return node.evaluate
    inner = node.evaluate
    return lambda scope: weigh(scope, inner(scope))


def _required(node: Node) -> Evaluate:
    """A secret that is not there must not quietly leave a credential out."""
    value, name = node.evaluate, node.name

    def render(scope: Any) -> Any:
        found = value(scope)
        if found is MISSING:
            raise RenderError(f"there is no secret {name}")
        return found

    return render


def nodes_of(pieces: list[Piece], language: Expressions) -> list[str | Node]:
    """Literals and compiled expressions, for places that have no statements."""
    parts: list[str | Node] = []
    for piece in pieces:
        if piece.kind == "statement":
            raise TemplateError(
                "statements are possible in text templates only", "use `… if … else …` inside of {{ }}", piece.offset
            )
        parts.append(piece.text if piece.kind == "literal" else language.compile(piece.text, piece.offset))
    return parts


def joined(parts: list[str | Node], written: Callable[[Any, str], str]) -> Evaluate:
    """Literal text and values in a row; a value that is not there is an error."""
    steps: list[tuple[str, Evaluate | None, str]] = [
        (part, None, "") if isinstance(part, str) else ("", checked(part), part.name) for part in parts
    ]
    fuel = needs_fuel([part for part in parts if isinstance(part, Node)])

    def render(scope: Any) -> str:
        text = "".join(
            [literal if value is None else written(present(value(scope), name), name) for literal, value, name in steps]
        )
        if fuel:
            spend_output(scope, len(text))
        return text

    return render


def compile_header(source: str, roots: frozenset[str], bound: Bound = None) -> Template:
    """A header's or a cookie's value: text, or None where its only expression has nothing or null to say."""
    parts = nodes_of(scan(source), Expressions(roots, bound))
    nodes = [part for part in parts if isinstance(part, Node)]
    constant = all(node.constant for node in nodes)
    if len(parts) == 1 and nodes:
        value, name = checked(nodes[0]), nodes[0].name

        def whole(scope: Any) -> str | None:
            found = value(scope)
            return None if found is MISSING or found is None else encode.scalar(found, name)

        return Template(nodes[0].reads, with_fuel(nodes, whole), constant)
    return Template(reads_of(nodes), with_fuel(nodes, joined(parts, encode.scalar)), constant)
