"""URLs: what is raw, what is a path segment and what is a query parameter is decided when they are compiled.

Raw is a leading expression over `values` or `secrets` alone (origin and path prefix), and expressions over those in the
host and port of a URL that begins with a literal scheme. `{name}` stands for `{{ args.name }}`.
"""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import quote, unquote

from portico.template import encode
from portico.template.errors import RenderError, TemplateError
from portico.template.expression import Expressions
from portico.template.fuel import MAX_SOURCE
from portico.template.node import Evaluate, Node, present
from portico.template.scan import scan
from portico.template.template import Bound, Template, checked, nodes_of, reads_of, with_fuel
from portico.template.value import text_of

STATIC = frozenset({"values", "secrets"})
_SCHEME = re.compile(r"https?://", re.IGNORECASE)
_PLACEHOLDER = re.compile(r"\{([^{}/?#\s]+)\}")
_BASE = re.compile(
    r"(?P<origin>https?://(?:\[[0-9a-f:.]+\]|[^/?#\\@:\[\]%{}<>\x22^`|\s\x00-\x1f\x7f]+)(?::\d{1,5})?)"
    r"(?P<prefix>/[^?#\\\s\x00-\x1f\x7f]*)?",
    re.IGNORECASE,
)
_LITERAL = "/%:@!$&'()*+,;=~-._"
_DOTS = frozenset({".", ".."})

Parts = list[str | Node]


class UrlTemplate(Template):
    """`base` gives what is fixed, "scheme://host:port/prefix"; `path` and `query` what follows it, encoded.

    Path and query take a scope, which `scope(context)` makes; `fixed_path` is the path that needs none. `secret` and
    `base_secret` tell whether they show a secret.
    """

    __slots__ = ("base", "base_secret", "fixed_path", "path", "query", "scope", "secret")

    def __init__(self, head: Parts, path: list[Parts], query: list[tuple[Parts, Parts | None]]) -> None:
        nodes = [part for part in head if isinstance(part, Node)]
        late = [part for parts in path for part in parts if isinstance(part, Node)]
        for name, value in query:
            late += [part for part in (*name, *(value or [])) if isinstance(part, Node)]
        self.base: Evaluate = with_fuel(nodes, _base(head))
        self.path: Evaluate = _path(path)
        self.fixed_path = self.path({}) if all(_is_literal(parts) for parts in path) else None
        self.query: list[str | Evaluate] = [_pair(name, value) for name, value in query]
        self.scope: Evaluate = with_fuel(late, lambda scope: scope)
        self.base_secret = any("secrets" in node.roots for node in nodes)
        self.secret = any("secrets" in node.roots for node in late)
        whole = _whole(self.scope, self.base, self.path, self.query)
        super().__init__(reads_of([*nodes, *late]), whole, all(node.constant for node in (*nodes, *late)))


def _whole(scope_of: Evaluate, base: Evaluate, path: Evaluate, pairs: list[str | Evaluate]) -> Evaluate:
    """It knows the parts rather than the template, which is to be freed without the garbage collector."""

    def render(context: Any) -> str:
        scope = scope_of(context)
        found = [pair if isinstance(pair, str) else pair(scope) for pair in pairs]
        query = "&".join([pair for pair in found if pair])
        return base(context) + path(scope) + (f"?{query}" if query else "")

    return render


def compile_url(source: str, roots: frozenset[str], bound: Bound = None) -> UrlTemplate:
    language = Expressions(roots, bound)
    pieces = nodes_of(scan(source), language)
    if not pieces:
        raise TemplateError("the URL is empty", "begin with http://, https:// or {{ values.… }}")
    head, rest = _head(pieces)
    if _is_literal(head):
        _checked_base("".join(map(str, head)))
    path, query = _split(_with_placeholders(rest, language, source))
    return UrlTemplate(head, path, query)


def _head(pieces: Parts) -> tuple[Parts, Parts]:
    first = pieces[0]
    if isinstance(first, Node):
        _require_static(first)
        if len(pieces) > 1 and not (isinstance(pieces[1], str) and pieces[1][0] in "/?#"):
            raise TemplateError(
                "what follows the origin must begin with a slash", "write {{ values.base }}/…", first.offset
            )
        return [first], pieces[1:]
    scheme = _SCHEME.match(first)
    if scheme is None:
        raise TemplateError("the URL has no origin", "begin with http://, https:// or {{ values.… }}")
    return _authority(pieces, scheme.end())


def _authority(pieces: Parts, start: int) -> tuple[Parts, Parts]:
    head: Parts = []
    for index, piece in enumerate(pieces):
        if isinstance(piece, Node):
            _require_static(piece)
            head.append(piece)
            continue
        end = re.compile(r"[/?#]").search(piece, 0 if index else start)
        if end is not None:
            return [*head, piece[: end.start()]], [piece[end.start() :], *pieces[index + 1 :]]
        head.append(piece)
    return head, []


def _require_static(node: Node) -> None:
    if not node.reads or not node.roots <= STATIC:
        raise TemplateError(
            "where a call goes can depend on `values` and `secrets` only",
            "write the origin itself, or {{ values.… }}",
            node.offset,
        )


def _with_placeholders(pieces: Parts, language: Expressions, source: str) -> Parts:
    parts: Parts = []
    for piece in pieces:
        if isinstance(piece, Node):
            parts.append(piece)
            continue
        at = 0
        for match in _PLACEHOLDER.finditer(piece):
            offset = max(source.find(match[0]), 0)
            if "args" not in language.roots:
                raise TemplateError(f"there is no argument for {match[0]} here", "write the value itself", offset)
            parts += [piece[at : match.start()], language.path(("args", match[1]), offset)]
            at = match.end()
        parts.append(piece[at:])
    return [part for part in parts if part != ""]


def _split(pieces: Parts) -> tuple[list[Parts], list[tuple[Parts, Parts | None]]]:
    """Path segments (a slash before each of them) and the query's names and values."""
    path: list[Parts] = []
    for index, piece in enumerate(pieces):
        if isinstance(piece, Node):
            path[-1].append(piece)
            continue
        if "#" in piece:
            raise TemplateError("a URL to call has no fragment", "leave out `#` and what follows")
        before, mark, after = piece.partition("?")
        for number, text in enumerate(before.split("/")):
            if number:
                path.append([])
            if text:
                path[-1].append(text)
        if mark:
            return path, _parameters([after, *pieces[index + 1 :]])
    return path, []


def _parameters(pieces: Parts) -> list[tuple[Parts, Parts | None]]:
    query: list[tuple[Parts, Parts | None]] = [([], None)]
    for piece in pieces:
        for token in [piece] if isinstance(piece, Node) else re.split(r"([#&=])", piece):
            name, value = query[-1]
            if token == "#":
                raise TemplateError("a URL to call has no fragment", "leave out `#` and what follows")
            if token == "&":
                query.append(([], None))
            elif token == "=" and value is None:
                query[-1] = (name, [])
            elif token != "":
                (name if value is None else value).append(token)
    return [pair for pair in query if pair[0] or pair[1]]


def _base(head: Parts) -> Evaluate:
    steps = [(part, None, "") if isinstance(part, str) else ("", checked(part), part.name) for part in head]

    def render(scope: Any) -> str:
        text = "".join(
            [literal if value is None else text_of(present(value(scope), name)) for literal, value, name in steps]
        )
        try:
            return _checked_base(text)
        except TemplateError as error:
            raise RenderError(error.message) from None

    return render


def _checked_base(text: str) -> str:
    match = _BASE.fullmatch(text) if len(text) <= MAX_SOURCE else None
    if match is None:
        raise TemplateError(
            "the URL's origin is not http:// or https:// with a host, a port and a path",
            "write http://host:port/prefix, without a user, a query or a fragment",
        )
    prefix = (match["prefix"] or "").rstrip("/")
    if not _DOTS.isdisjoint(unquote(prefix).replace("\\", "/").split("/")):
        raise TemplateError("the URL's origin has dot segments in its path", "write the path without them")
    return match["origin"] + quote(prefix, safe=_LITERAL)


def _path(path: list[Parts]) -> Evaluate:
    """Constant segments are merged, so that one expression costs one call."""
    steps: list[str | Evaluate] = [""]
    for parts in path:
        written = "/" + _constant_segment(parts) if _is_literal(parts) else None
        if written is None:
            steps += [_segment(parts), ""]
        else:
            steps[-1] = f"{steps[-1]}{written}"
    steps = [step for step in steps if step != ""]
    if not steps:
        return lambda scope: ""
    if len(steps) == 1 and isinstance(steps[0], str):
        constant = steps[0]
        return lambda scope: constant
    return lambda scope: "".join([step if type(step) is str else step(scope) for step in steps])  # type: ignore[operator]


def _is_literal(parts: Parts) -> bool:
    return all(isinstance(part, str) for part in parts)


def _constant_segment(parts: Parts) -> str:
    text = "".join(map(str, parts))
    if unquote(text) in _DOTS:
        raise TemplateError("the path has dot segments", "write the path without them")
    return quote(text, safe=_LITERAL)


def _segment(parts: Parts) -> Evaluate:
    if len(parts) == 1 and isinstance(parts[0], Node):
        value, name = checked(parts[0]), parts[0].name

        def one(scope: Any) -> str:
            found = value(scope)
            text = found if type(found) is str else encode.scalar(found, name)
            encode.guard_segment(text, name)
            return "/" + encode.segment(found, name)

        return one
    steps = [
        (unquote(part), quote(part, safe=_LITERAL), None, "")
        if isinstance(part, str)
        else ("", "", checked(part), part.name)
        for part in parts
    ]

    def many(scope: Any) -> str:
        texts, written = [], ["/"]
        for text, literal, value, name in steps:
            if value is not None:
                found = value(scope)
                text, literal = encode.scalar(found, name), encode.segment(found, name)
            texts.append(text)
            written.append(literal)
        encode.guard_segment("".join(texts), "the segment")
        return "".join(written)

    return many


def _pair(name: Parts, value: Parts | None) -> str | Evaluate:
    if _is_literal(name) and (value is None or _is_literal(value)):
        text = "".join(map(str, name)) + ("" if value is None else "=" + "".join(map(str, value)))
        return quote(text, safe=_LITERAL + "?[]")
    if _is_literal(name) and value is not None and len(value) == 1 and isinstance(value[0], Node):
        key, whole = quote("".join(map(str, name)), safe=_LITERAL), checked(value[0])
        return lambda scope: encode.pairs(key, whole(scope))
    left, right = _components(name), _components(value or [])
    suffix = "" if value is None else "="
    return lambda scope: left(scope) + suffix + right(scope)


def _components(parts: Parts) -> Evaluate:
    steps = [
        (quote(part, safe=_LITERAL), None, "") if isinstance(part, str) else ("", checked(part), part.name)
        for part in parts
    ]

    def render(scope: Any) -> str:
        return "".join(
            [
                literal if value is None else encode.component(encode.scalar(value(scope), name))
                for literal, value, name in steps
            ]
        )

    return render
