"""Trees of values, as they were read from YAML, with templates in their strings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from portico.template.errors import TemplateError
from portico.template.expression import Expressions
from portico.template.fuel import MAX_DEPTH
from portico.template.node import Evaluate, Node
from portico.template.scan import Piece, scan
from portico.template.template import Bound, Template, checked, joined, nodes_of, reads_of, with_fuel
from portico.template.text import blocks
from portico.template.value import MISSING, text_of


def compile_value(value: Any, roots: frozenset[str], bound: Bound = None) -> Template:
    """A tree as it was read from YAML. A string that is exactly one expression keeps the value's type.

    Such an expression that leads nowhere leaves its key out of the object or its place out of the list; at the top
    it gives None. Constant parts of the result are shared between renderings: do not change them.
    """
    language = Expressions(roots, bound)
    nodes: list[Node] = []
    render = _tree(value, language, nodes, ())
    if isinstance(render, _Constant):
        constant = render.value
        return Template(frozenset(), lambda context: constant, constant=True)
    evaluate = render

    def top(scope: Any) -> Any:
        found = evaluate(scope)
        return None if found is MISSING else found

    return Template(reads_of(nodes), with_fuel(nodes, top), all(node.constant for node in nodes))


class _Constant:
    __slots__ = ("value",)

    def __init__(self, value: Any) -> None:
        self.value = value


def _tree(value: Any, language: Expressions, nodes: list[Node], at: tuple[str | int, ...]) -> Evaluate | _Constant:
    if len(at) > MAX_DEPTH:
        raise TemplateError(f"the value is nested more than {MAX_DEPTH} levels deep", "make it flatter").below(at)
    if isinstance(value, str):
        try:
            return _string(value, language, nodes)
        except TemplateError as error:
            raise error.below(at) from None
    if isinstance(value, Mapping):
        return _object(value, language, nodes, at)
    if isinstance(value, list | tuple):
        return _list(list(value), language, nodes, at)
    return _Constant(value)


def _string(value: str, language: Expressions, nodes: list[Node]) -> Evaluate | _Constant:
    pieces = scan(value)
    if all(piece.kind == "literal" for piece in pieces):
        return _Constant("".join(piece.text for piece in pieces))
    if any(piece.kind == "statement" for piece in pieces):
        return _text(pieces, language, nodes)
    parts = nodes_of(pieces, language)
    found = [part for part in parts if isinstance(part, Node)]
    nodes.extend(found)
    if len(parts) == 1:
        return checked(found[0])
    return joined(parts, lambda item, name: text_of(item))


def _text(pieces: list[Piece], language: Expressions, nodes: list[Node]) -> Evaluate:
    """A string with statements: the names that it sets are its own, the fuel is that of the whole tree."""
    render = blocks(pieces, Expressions(language.roots, language.bound), "text", nodes)
    nodes.append(Node(render, frozenset(), 0))
    return lambda scope: render(dict(scope))


def _object(
    value: Mapping[Any, Any], language: Expressions, nodes: list[Node], at: tuple[str | int, ...]
) -> Evaluate | _Constant:
    made = {str(key): _tree(item, language, nodes, (*at, str(key))) for key, item in value.items()}
    for key in made:
        if "{{" in key:
            raise TemplateError("a key cannot be a template", "write the name itself").below((*at, key))
    if all(isinstance(item, _Constant) for item in made.values()):
        return _Constant({key: item.value for key, item in made.items() if isinstance(item, _Constant)})
    entries = [(key, _evaluate(item)) for key, item in made.items()]

    def render(scope: Any) -> dict[str, Any]:
        return {key: found for key, evaluate in entries if (found := evaluate(scope)) is not MISSING}

    return render


def _list(
    value: list[Any], language: Expressions, nodes: list[Node], at: tuple[str | int, ...]
) -> Evaluate | _Constant:
    made = [_tree(item, language, nodes, (*at, index)) for index, item in enumerate(value)]
    if all(isinstance(item, _Constant) for item in made):
        return _Constant([item.value for item in made if isinstance(item, _Constant)])
    items = [_evaluate(item) for item in made]

    def render(scope: Any) -> list[Any]:
        return [found for evaluate in items if (found := evaluate(scope)) is not MISSING]

    return render


def _evaluate(item: Evaluate | _Constant) -> Evaluate:
    if not isinstance(item, _Constant):
        return item
    value = item.value
    return lambda scope: value
