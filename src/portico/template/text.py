"""Text templates: literal text with `{{ }}` encoded for its place, `{% if %}`, `{% for %}` and `{% set %}`.

In JSON, whether a place is inside of a string is read off the literal text before it, once, when it is compiled.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import msgspec

from portico.template import encode
from portico.template.errors import RenderError, TemplateError
from portico.template.expression import Expressions, Parser
from portico.template.fuel import fuelled, spend_output
from portico.template.node import Evaluate, Node, present
from portico.template.scan import Piece, Token, scan
from portico.template.statements import Body, Step, chosen, repeated
from portico.template.template import Bound, Template, checked, reads_of
from portico.template.value import MISSING, json_of, text_of

Encoding = Literal["json", "xml", "form", "text"]

MAX_BLOCKS = 20
_STATEMENTS = "the statements are if/elif/else/endif, for/else/endfor, set and raw/endraw"


def compile_text(source: str, roots: frozenset[str], encoding: Encoding = "text", bound: Bound = None) -> Template:
    """A template of a whole text. JSON that was rendered is JSON: what is not is an error."""
    nodes: list[Node] = []
    language = Expressions(roots, bound)
    render = blocks(scan(source), language, encoding, nodes)

    def text(context: Any) -> str:
        result = render(fuelled(context))
        if encoding == "json":
            _require_json(result)
        return result

    return Template(reads_of(nodes), text, not nodes)


def _require_json(text: str) -> None:
    try:
        msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError, UnicodeEncodeError) as error:
        where = f" ({error})" if isinstance(error, msgspec.DecodeError) else ""
        raise RenderError(f"the template did not give valid JSON{where}") from None


def blocks(pieces: list[Piece], language: Expressions, encoding: Encoding, nodes: list[Node]) -> Evaluate:
    """Compile a whole source that may have statements; what it reads is added to `nodes`."""
    reader = _Blocks(pieces, language, encoding, nodes)
    body = reader.body(())
    steps = body.steps

    def render(scope: Any) -> str:
        out: list[str] = []
        for step in steps:
            step(scope, out)
        return "".join(out)

    return render


class _Blocks:
    def __init__(self, pieces: list[Piece], language: Expressions, encoding: Encoding, nodes: list[Node]) -> None:
        self.pieces = pieces
        self.at = 0
        self.language = language
        self.encoding = encoding
        self.nodes = nodes
        self.quoted = False  # Whether the place is inside of a JSON string.
        self.depth = 0
        self.statement: tuple[Parser, Token] | None = None

    def body(self, until: tuple[str, ...]) -> Body:
        """Everything up to one of the named statements, which is then `self.statement`."""
        made = Body()
        self.depth += 1
        if self.depth > MAX_BLOCKS:
            raise TemplateError("statements are nested too deeply", "make the template flatter", self._offset())
        while self.at < len(self.pieces):
            piece = self.pieces[self.at]
            self.at += 1
            if piece.kind == "literal":
                self._literal(piece.text, made)
            elif piece.kind == "expression":
                self._expression(piece, made)
            elif self._ends(piece, until, made):
                self.depth -= 1
                return made
        if until:
            raise TemplateError(f"`{until[-1]}` is missing", f"write {{% {until[-1]} %}}", self._offset())
        self.depth -= 1
        return made

    def _offset(self) -> int:
        return self.pieces[min(self.at, len(self.pieces) - 1)].offset

    def _literal(self, text: str, made: Body) -> None:
        if self.encoding == "json":
            self.quoted = _quoted_after(text, self.quoted)
        size = len(text)

        def step(scope: dict[str, Any], out: list[str]) -> None:
            spend_output(scope, size)
            out.append(text)

        made.steps.append(step)

    def _expression(self, piece: Piece, made: Body) -> None:
        node = self.language.compile(piece.text, piece.offset)
        self.nodes.append(node)
        value, name, written = checked(node), node.name, self._encoder()

        def step(scope: dict[str, Any], out: list[str]) -> None:
            found = value(scope)
            text = written(found if found is not MISSING else present(found, name), name)
            spend_output(scope, len(text))
            out.append(text)

        made.steps.append(step)
        made.weight += 1 + node.height

    def _encoder(self) -> Callable[[Any, str], str]:
        if self.encoding == "json":
            return encode.json_inside if self.quoted else lambda value, name: json_of(value)
        if self.encoding == "xml":
            return encode.xml
        if self.encoding == "form":
            return lambda value, name: encode.component(encode.scalar(value, name))
        return lambda value, name: text_of(value)

    def _ends(self, piece: Piece, until: tuple[str, ...], made: Body) -> bool:
        parser = self.language.parser(piece.text, piece.offset)
        word = parser.take()
        if word.text in until:
            self.statement = (parser, word)
            return True
        if word.text == "if":
            self._if(parser, made)
        elif word.text == "for":
            self._for(parser, made)
        elif word.text == "set":
            self._set(parser, made)
        else:
            raise TemplateError(f"there is no statement `{word.text}` here", _STATEMENTS, word.start)
        return False

    def _parsed(self, parser: Parser) -> Node:
        node = parser.expression()
        parser.finish()
        self.nodes.append(node)
        return node

    def _local(self, parser: Parser) -> str:
        token = parser.name()
        if token.text in self.language.roots or token.text in ("loop", "range"):
            raise TemplateError(f"`{token.text}` cannot be set", "choose another name", token.start)
        return token.text

    def _branch(self, before: bool, after: bool | None, word: Token) -> bool:
        """All ways through a statement must come out on the same side of a JSON quote."""
        if after is not None and self.quoted is not after:
            raise TemplateError(
                "the ways through this statement end on different sides of a quote",
                "keep the quotes of a JSON string together",
                word.start,
            )
        ended, self.quoted = self.quoted, before
        return ended

    def _if(self, parser: Parser, made: Body) -> None:
        before, after, word = self.quoted, None, parser.token
        branches: list[tuple[Evaluate, list[Step]]] = []
        ending = last = "if"
        while ending != "endif":
            condition = self._parsed(parser).evaluate if ending in ("if", "elif") else (lambda scope: True)
            known = set(self.language.locals)
            body = self.body(("endif",) if ending == "else" else ("elif", "else", "endif"))
            self.language.locals = known | (self.language.locals if ending == "else" else set())
            made.weight += body.weight
            made.sets |= body.sets
            branches.append((condition, body.steps))
            after = self._branch(before, after, word)
            assert self.statement is not None
            parser, word = self.statement
            last, ending = ending, word.text
        if last != "else":
            self._branch(self.quoted, None, word)
            if after is not before:
                self.quoted = before
                self._branch(before, after, word)
        self.language.locals |= made.sets
        self.quoted = bool(after)
        made.steps.append(chosen(branches))

    def _for(self, parser: Parser, made: Body) -> None:
        names = [self._local(parser)]
        while parser.accept(","):
            names.append(self._local(parser))
        parser.expect("in")
        node, condition = parser.condition(), None
        self.nodes.append(node)
        outer, before = set(self.language.locals), self.quoted
        self.language.locals |= {*names, "loop"}
        if parser.accept("if"):
            condition = parser.condition().evaluate
        parser.finish()
        start = self.at
        body = self.body(("else", "endfor"))
        counted = any("loop" in piece.text for piece in self.pieces[start : self.at] if piece.kind != "literal")
        assert self.statement is not None
        word = self.statement[1]
        self._branch(before, before, word)
        self.language.locals = outer
        otherwise = self.body(("endfor",)) if word.text == "else" else Body()
        self._branch(before, before, word)
        self.language.locals = outer
        made.weight += body.weight + otherwise.weight
        made.steps.append(repeated(checked(node), node.name, names, condition, body, otherwise.steps, counted))

    def _set(self, parser: Parser, made: Body) -> None:
        name = self._local(parser)
        parser.expect("=")
        node = self._parsed(parser)
        value = node.evaluate
        self.language.locals.add(name)
        made.sets.add(name)
        made.weight += 1 + node.height

        def step(scope: dict[str, Any], out: list[str]) -> None:
            scope[name] = value(scope)

        made.steps.append(step)


def _quoted_after(text: str, quoted: bool) -> bool:
    """Whether the text ends inside of a JSON string."""
    at = 0
    while at < len(text):
        if text[at] == '"':
            quoted = not quoted
        elif text[at] == "\\" and quoted:
            at += 1
        at += 1
    return quoted
