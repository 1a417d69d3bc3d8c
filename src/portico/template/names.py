"""The names that an expression may read, and which of them must be spelled out."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import Any

from portico.template.errors import TemplateError
from portico.template.node import Key, Node, reader

_NAMED = {
    "request": frozenset({"headers", "query", "cookies"}),
    "response": frozenset({"status", "headers", "json", "text", "base64"}),
    "session": frozenset({"id"}),
}


class Names:
    """`roots` may be read; the values of those in `bound` are known already. `locals` are what a text template sets."""

    def __init__(self, roots: frozenset[str], bound: Mapping[str, Any] | None = None) -> None:
        self.roots = roots
        self.bound = bound or {}
        self.locals: set[str] = set()

    def path(self, keys: tuple[Key, ...], offset: int) -> Node:
        """A path whose first key is a root or a local name."""
        root = keys[0]
        if root in self.locals:
            return Node(reader(keys), frozenset(), offset, keys)
        reads = frozenset({tuple(str(key) for key in keys)})
        _refuse_unnamed(keys, offset)
        if root in self.bound:
            value = reader(keys)(self.bound)
            return Node(lambda scope: value, reads, offset, keys, constant=True)
        return Node(reader(keys), reads, offset, keys)

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
