"""The mapping language: `{{ expressions }}` in Jinja's syntax, compiled to closures once, encoded for their place.

An expression has paths (`args.user.name`, `request.headers.x-trace`, `response.json.items[0]`), literals, `+ - * / //
% ** ~`, comparisons, `in`, `and`, `or`, `not`, `a if b else c`, slices, lists, objects, `range()`, tests (`is
defined`) and filters: abs, b64decode, b64encode, capitalize, count, default (d), first, float, indent, int, items,
join, json (tojson), last, length, list, lower, map, max, min, reject, rejectattr, replace, reverse, round, select,
selectattr, sort, split, string, sum, title, trim, unique, upper, urlencode. Text templates have `{% if %}`, `{% for
%}`, `{% set %}` and `{% raw %}` too. A path that leads nowhere is left out where it stands alone (a key, a list's
item, a query parameter, a header); elsewhere it is an error.
Nothing here is Python's: no attributes, no methods, no environment; work, depth, source and output are bounded.
"""

from portico.template.errors import RenderError, TemplateError
from portico.template.template import Template, compile_header
from portico.template.text import compile_text
from portico.template.tree import compile_value
from portico.template.url import UrlTemplate, compile_url
from portico.template.value import MISSING

__all__ = [
    "MISSING",
    "RenderError",
    "Template",
    "TemplateError",
    "UrlTemplate",
    "compile_header",
    "compile_text",
    "compile_url",
    "compile_value",
]
