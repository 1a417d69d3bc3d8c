"""URI templates of resources: `{name}` matches within a segment, `{+name}` across them (RFC 6570, levels 1 and 2)."""

from __future__ import annotations

import re

_VARIABLE = re.compile(r"\{(\+?)([A-Za-z_][A-Za-z0-9_]*)\}")


def compile_uri_template(template: str) -> tuple[re.Pattern[str], tuple[str, ...]]:
    """A pattern whose groups v0, v1, … hold the variables, in order, still percent-encoded."""
    pattern, variables, end = "", [], 0
    for match in _VARIABLE.finditer(template):
        pattern += re.escape(template[end : match.start()])
        # Bounded and without nesting, so that no URI makes the matching slow.
        pattern += f"(?P<v{len(variables)}>" + (".{1,2048}?" if match[1] else "[^/?#]{1,2048}?") + ")"
        variables.append(match[2])
        end = match.end()
    return re.compile(pattern + re.escape(template[end:]), re.DOTALL), tuple(variables)
