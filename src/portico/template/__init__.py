"""The mapping language: `{{ expressions }}` in Jinja's syntax, compiled to closures once, encoded for their place.

Its words are listed in docs/templates.md: paths, literals, operators, tests, filters, and in text templates `{% if %}`,
`{% for %}`, `{% set %}` and `{% raw %}`. A path that leads nowhere is left out where it stands alone (a key, a list's
item, a query parameter, a header); elsewhere it is an error. Nothing here is Python's: no attributes, no methods, no
environment; work, depth, source and output are bounded.
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
