"""What `if` and `for` do when they run."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from portico.template.errors import RenderError
from portico.template.fuel import spend
from portico.template.node import Evaluate
from portico.template.value import MISSING, kind_of

Step = Callable[[dict[str, Any], list[str]], None]


class Body:
    """What stands between two statements: its steps, its weight, and the local names that it sets."""

    __slots__ = ("sets", "steps", "weight")

    def __init__(self) -> None:
        self.steps: list[Step] = []
        self.weight = 1
        self.sets: set[str] = set()


def chosen(branches: list[tuple[Evaluate, list[Step]]]) -> Step:
    def step(scope: dict[str, Any], out: list[str]) -> None:
        for condition, steps in branches:
            if condition(scope):
                for inner in steps:
                    inner(scope, out)
                return

    return step


def repeated(
    items: Evaluate,
    name: str,
    names: list[str],
    condition: Evaluate | None,
    body: Body,
    otherwise: list[Step],
    counted: bool = True,
) -> Step:
    """`counted` tells whether anything in the body asks which turn it is."""
    hidden = {*names, "loop", *body.sets}
    weight = body.weight

    def step(scope: dict[str, Any], out: list[str]) -> None:
        outer = {key: scope[key] for key in hidden if key in scope}
        chosen = _items(scope, items(scope), name, names, condition, weight)
        for index, item in enumerate(chosen):
            spend(scope, weight)
            if body.sets:
                for key in body.sets:
                    scope.pop(key, None)
                scope.update({key: outer[key] for key in body.sets if key in outer})
            scope.update(item)
            if counted:
                scope["loop"] = _loop(index, len(chosen))
            for inner in body.steps:
                inner(scope, out)
        for key in hidden:
            scope.pop(key, None)
        scope.update(outer)
        if not chosen:
            for inner in otherwise:
                inner(scope, out)

    return step


def _loop(index: int, length: int) -> dict[str, Any]:
    return {
        "index": index + 1,
        "index0": index,
        "revindex": length - index,
        "first": index == 0,
        "last": index == length - 1,
        "length": length,
    }


def _items(
    scope: dict[str, Any], value: Any, name: str, names: list[str], condition: Evaluate | None, weight: int
) -> list[dict[str, Any]]:
    """The local names of each turn. An object gives its keys, as in Jinja; nothing gives no turns."""
    if value is MISSING or value is None:
        return []
    if not isinstance(value, list | dict):
        raise RenderError(f"{name} is {kind_of(value)}, and `for` needs a list")
    spend(scope, len(value))
    turns = []
    for item in value:
        if len(names) == 1:
            turn = {names[0]: item}
        elif isinstance(item, list) and len(item) == len(names):
            turn = dict(zip(names, item, strict=True))
        else:
            raise RenderError(f"{name} does not hold lists of {len(names)} values")
        if condition is not None:
            spend(scope, 1)
            scope.update(turn)
            if not condition(scope):
                continue
        turns.append(turn)
    return turns
