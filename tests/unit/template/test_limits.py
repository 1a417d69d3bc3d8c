"""Templates that try to take the process down. Each is refused, at compile time or in a call, and quickly."""

import time

import pytest

from portico.template import RenderError, TemplateError, compile_text, compile_url, compile_value

ROOTS = frozenset({"args", "values", "secrets", "response"})
CONTEXT = {
    "args": {"n": 10**9, "text": "a" * 100_000, "list": list(range(10_000)), "small": [1, 2]},
    "secrets": {"TOKEN": "hunter2"},
}

DOUBLING = "".join("{% set x = [x, x] %}" for _ in range(60))

BOMBS = [
    '{{ "a" * 10**9 }}',
    "{{ [1] * 10**9 }}",
    "{{ args.text * args.n }}",
    "{{ range(10**9) }}",
    "{{ range(0, 10**30) }}",
    "{{ range(args.n) | sum }}",
    "{{ 10 ** (10 ** 10) }}",
    "{{ 2.0 ** 99999 }}",
    "{{ (2 ** 4000) * (2 ** 4000) }}",
    "{{ args.n % 0 }}",
    "{{ args.list | map('string') | join(args.text) }}",
    "{{ args.text | replace('a', args.text) }}",
    "{{ args.text | replace('', args.text) }}",
    "{{ args.list | map('default', args.list) | map('default', args.list, true) | json | length "
    "if false else (range(400) | map('replace', '', '') | json) }}",
    "{{ range(9999) | map('string') | map('replace', '1', args.text) | list }}",
    "{{ '" + "x" * 70_000 + "' }}",
    "{{ " + "(" * 1000 + "1" + ")" * 1000 + " }}",
    "{{ " + "[" * 1000 + "]" * 1000 + " }}",
    "{{ " + "+".join(["1"] * 3000) + " }}",
    "{{ " + "~".join(["args.text"] * 1500) + " }}",
    "{{ 1" + " | string" * 3000 + " }}",
    "{{ 1" + " if 1 else 1" * 3000 + " }}",
    "{{ args" + "['a' ~ '']" * 1000 + " }}",
    "{{ " + "9" * 5000 + " }}",
    "{{ '" + "9" * 5000 + "' | int }}",
    "{{ args.text | trim(args.text) }}",
    "{{ " + " or ".join(["0"] * 1900) + " }}",
    "{% for a in range(100) %}{% for b in range(500) %}"
    + "{% if args.no %}{% endif %}" * 1000
    + "{% endfor %}{% endfor %}",
    "{% for a in range(1000) %}{% for b in range(1000) %}x{% endfor %}{% endfor %}",
    "{% for a in args.list %}{% for b in args.list %}{% for c in args.list %}{% endfor %}{% endfor %}{% endfor %}",
    "{% for a in args.list %}{{ args.text }}{% endfor %}",
    "{% set x = 'a' %}" + "{% set x = x ~ x %}" * 60 + "{{ x }}",
    "{% set x = [1] %}" + "{% set x = x + x %}" * 60 + "{{ x }}",
    "{% set x = [1] %}" + DOUBLING + "{{ x }}",
    "{% set x = [1] %}" + DOUBLING + "{{ x | json | length }}",
    "{% set x = [1] %}" + DOUBLING + "{% set y = [1] %}" + DOUBLING.replace("x", "y") + "{{ x == y }}",
    "{% set x = [1] %}" + DOUBLING + "{% set y = [1] %}" + DOUBLING.replace("x", "y") + "{{ x in [y] }}",
    "{% set x = [1] %}" + DOUBLING + "{{ [x, x] | unique | length }}",
    "{% set x = [1] %}" + "{% set x = [x] %}" * 3000 + "{{ x }}",
    "{% if args.n %}" * 200 + "{% endif %}" * 200,
    "{% raw %}" * 5000,
]


@pytest.mark.parametrize("source", BOMBS, ids=lambda source: source[:40])
@pytest.mark.parametrize("compiler", [compile_value, compile_text])
def test_work_and_memory_are_bounded(source, compiler):
    started = time.perf_counter()
    with pytest.raises((TemplateError, RenderError)):
        compiler(source, ROOTS).render(CONTEXT)
    assert time.perf_counter() - started < 5


def test_a_chain_of_nots_is_just_long():
    assert compile_value("{{ " + "not " * 3000 + "true }}", ROOTS).render(CONTEXT) is True


def test_a_result_may_not_be_larger_than_1_mib():
    with pytest.raises(RenderError, match="1 MiB"):
        compile_text("{{ args.text }}" * 11, ROOTS).render(CONTEXT)
    assert len(compile_text("{{ args.text }}" * 10, ROOTS).render(CONTEXT)) == 1_000_000


def test_a_source_may_not_be_larger_than_64_kib():
    for compiler in (compile_value, compile_text, compile_url):
        with pytest.raises(TemplateError, match="64 KiB"):
            compiler("http://h/" + "x" * 65_536, ROOTS)


def test_a_value_may_not_be_nested_too_deeply():
    tree: object = "{{ args.n }}"
    for _ in range(100):
        tree = [tree]
    with pytest.raises(TemplateError, match="64 levels"):
        compile_value(tree, ROOTS)


@pytest.mark.parametrize(
    "source",
    [
        "{{ secrets.TOKEN + 1 }}",
        "{{ secrets.TOKEN | int }}",
        "{{ secrets.TOKEN | round }}",
        "{{ secrets.TOKEN | b64decode }}",
        "{{ secrets.TOKEN < 3 }}",
        "{{ {secrets.TOKEN: 1}[3 / 0] }}",
        "{{ [1] | join(secrets.TOKEN | items) }}",
        "{{ 5 in secrets.TOKEN }}",
        "{{ [1] | map(secrets.TOKEN) }}",
        "{{ [1] | select(secrets.TOKEN) }}",
    ],
)
def test_an_error_never_repeats_a_value(source):
    with pytest.raises(RenderError) as error:
        compile_value(source, ROOTS).render(CONTEXT)
    assert "hunter2" not in str(error.value)
