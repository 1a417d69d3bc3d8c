"""What expressions and text templates mean, and what is said about those that mean nothing."""

import pytest

from portico.template import RenderError, TemplateError, compile_header, compile_text, compile_value

ROOTS = frozenset({"args", "values", "secrets", "request", "session", "response"})
CONTEXT = {
    "args": {
        "n": 3,
        "big": 12345678901234567890,
        "name": "Ada",
        "tags": ["b", "a", "b"],
        "people": [{"name": "Ada", "age": 36}, {"name": "Bob", "age": 7}],
        "nothing": None,
        "items": [1, 2],
        "user-id": 9,
        "half": 0.5,
        "flag": True,
        "note": "line\nline",
    },
    "values": {"base": "http://h", "map": {"de": "Hallo"}},
    "secrets": {"TOKEN": "s3cret"},
    "request": {"headers": {"x-trace": "t-1"}, "query": {"q": "x"}, "cookies": {}},
    "session": {"id": "s-1"},
    "response": {"status": 200, "json": {"items": [{"name": "first"}]}, "headers": {"x-total-count": "7"}},
}


def value(source, **more):
    return compile_value(source, ROOTS).render({**CONTEXT, **more})


def text(source, encoding="text"):
    return compile_text(source, ROOTS, encoding).render(CONTEXT)


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("{{ args.n }}", 3),
        ("{{args.big}}", 12345678901234567890),
        ("{{ args.big + 1 }}", 12345678901234567891),
        ("{{ args.half * 2 }}", 1.0),
        ("{{ args.nothing }}", None),
        ("{{ args.flag }}", True),
        ("{{ args['user-id'] }}", 9),
        ("{{ args.items[1] }}", 2),
        ("{{ args.items[-1] }}", 2),
        ("{{ args.items.0 }}", 1),
        ("{{ request.headers.x-trace }}", "t-1"),
        ('{{ request.headers["X-Trace"] }}', "t-1"),
        ("{{ response.headers.X-Total-Count | int }}", 7),
        ("{{ response.json.items[0].name }}", "first"),
        ("{{ session.id }}", "s-1"),
        ("{{ values.map['de'] }}", "Hallo"),
        ("{{ values.map[args.lang | default('de')] }}", "Hallo"),
        ("Hello {{ args.name }}, {{ args.n }} {{ args.flag }}", "Hello Ada, 3 true"),
        ("{{ args.name ~ '-' ~ args.n }}", "Ada-3"),
        ("{{ 1 + 2 * 3 - 4 / 2 }}", 5.0),
        ("{{ (1 + 2) * 3 }}", 9),
        ("{{ 7 // 2 }}", 3),
        ("{{ 7 % 4 }}", 3),
        ("{{ 2 ** 10 }}", 1024),
        ("{{ -args.n + 1 }}", -2),
        ("{{ args.n > 2 and args.name == 'Ada' }}", True),
        ("{{ 1 < 2 < 2 }}", False),
        ("{{ not args.missing }}", True),
        ("{{ not not args.flag }}", True),
        ("{{ 'a' in args.tags }}", True),
        ("{{ 'z' not in args.tags }}", True),
        ("{{ 'yes' if args.flag else 'no' }}", "yes"),
        ("{{ args.missing or 'other' }}", "other"),
        ("{{ args.missing.deeper | default(5) }}", 5),
        ("{{ args.missing is defined }}", False),
        ("{{ args.nothing is none }}", True),
        ("{{ args.n is not divisibleby 2 }}", True),
        ("{{ true == 1 }}", False),
        ("{{ args.name | upper | lower | title }}", "Ada"),
        ("{{ args.name[:2] }}", "Ad"),
        ("{{ args.tags | unique | sort | join('+') }}", "a+b"),
        ("{{ args.tags | length }}", 3),
        ("{{ args.people | map(attribute='name') | list }}", ["Ada", "Bob"]),
        ("{{ args.people | selectattr('age', 'eq', 7) | map(attribute='name') | first }}", "Bob"),
        ("{{ args.people | sum('age') }}", 43),
        ("{{ args.people | sort(attribute='age') | first }}", {"name": "Bob", "age": 7}),
        ("{{ args.people | max('age') }}", {"name": "Ada", "age": 36}),
        ("{{ args.tags | map('upper') }}", ["B", "A", "B"]),
        ("{{ args.tags | reject('eq', 'b') }}", ["a"]),
        ("{{ 'a,b' | split(',') }}", ["a", "b"]),
        ("{{ ' x ' | trim }}", "x"),
        ("{{ args.name | replace('A', 'O') }}", "Oda"),
        ("{{ 2.567 | round(1) }}", 2.6),
        ("{{ '12' | int }}", 12),
        ("{{ 'x' | int(0) }}", 0),
        ("{{ {'a': [1, 2], 'b': args.missing} }}", {"a": [1, 2]}),
        ("{{ args.people[0] | json }}", '{"name":"Ada","age":36}'),
        ("{{ 'grün' | b64encode }}", "Z3LDvG4="),
        ("{{ 'Z3LDvG4=' | b64decode }}", "grün"),
        ("{{ 'a b&c' | urlencode }}", "a%20b%26c"),
        ("{{ values.map | items }}", [["de", "Hallo"]]),
        ("{{ args.note | indent(2) }}", "line\n  line"),
        ("{{ range(3) }}", [0, 1, 2]),
        (r"{{ 'a\n\u00e9\'' }}", "a\né'"),
        ('{{ "}}" }}', "}}"),
        ("{# a comment #}plain{# {{ args.n }} #}", "plain"),
        ("{% raw %}{{ args.n }}{% endraw %}", "{{ args.n }}"),
        ("no template", "no template"),
    ],
)
def test_an_expression_gives_its_value(source, expected):
    found = value(source)
    assert found == expected
    assert type(found) is type(expected)


def test_what_is_not_there_is_left_out_of_objects_and_lists():
    tree = {"a": "{{ args.missing }}", "b": ["{{ args.missing }}", 1], "c": {"d": "{{ request.headers.x-none }}"}}
    assert value(tree) == {"b": [1], "c": {}}
    assert value("{{ args.missing }}") is None
    assert compile_header("{{ args.missing }}", ROOTS).render(CONTEXT) is None


def test_what_is_not_there_is_an_error_inside_of_a_text():
    with pytest.raises(RenderError, match=r"`args\.missing` has no value"):
        value("Hello {{ args.missing }}")
    with pytest.raises(RenderError):
        text("{{ args.missing }}")


def test_reads_are_the_paths_that_the_source_names():
    template = compile_value(
        {
            "a": "{{ args.n + values.x.y }}",
            "b": "{{ request.headers.X-Trace | default(secrets.T) }}",
            "c": "{{ args }}",
        },
        ROOTS,
    )
    assert template.reads == {
        ("args", "n"),
        ("args",),
        ("values", "x", "y"),
        ("request", "headers", "x-trace"),
        ("secrets", "T"),
    }


@pytest.mark.parametrize(
    ("source", "message", "mend", "offset"),
    [
        ("a {{ arg.n }}", "there is no `arg` here", "write `args`", 5),
        ("{{ args.n | uper }}", "there is no filter `uper`", "write `upper`", 12),
        ("{{ args.n is definde }}", "there is no test `definde`", "write `defined`", 13),
        ("{{ args.n", "`{{` is never closed", "close it with }}", 0),
        ("{{ args. }}", "a name was expected", "the language has", 9),
        ("{{ }}", "a value was expected", "the language has", 3),
        ("{{ args.n args.n }}", "the end of the expression was expected", "the language has", 10),
        ("{{ args.name.upper() }}", "nothing but range() can be called", "use a filter", 18),
        (
            "{{ request.headers[args.n] }}",
            "what is read from request.headers must be named",
            'request.headers["x-name"]',
            3,
        ),
        ("{{ request }}", "`request` cannot be read as a whole", "read request.cookies or", 3),
        ("{{ secrets }}", "a secret must be named", "write {{ secrets.NAME }}", 3),
        ("{{ secrets[args.n] }}", "a secret must be named", "write {{ secrets.NAME }}", 3),
        ("{{ response.body }}", "`response` cannot be read as a whole", "read response.base64 or", 3),
        ("{{ 'open }}", "`{{` is never closed", "close it with }}", 0),
        ("{{ args.n ! 2 }}", "an expression cannot contain `!`", "", 10),
        ("{{ args.n | replace('a') }}", "`replace` does not take these arguments", "", 12),
        ("{% include 'x' %}", "there is no statement `include`", "the statements are", 3),
        ("{% macro f(x) %}{{ f(x) }}{% endmacro %}", "there is no statement `macro`", "the statements are", 3),
        ("{% if args.n %}", "`endif` is missing", "write {% endif %}", 2),
        ("{% set args = 1 %}", "`args` cannot be set", "choose another name", 7),
        ("{% for loop in args %}{% endfor %}", "`loop` cannot be set", "choose another name", 7),
    ],
)
def test_a_wrong_template_says_what_is_wrong_where_and_how_to_mend_it(source, message, mend, offset):
    with pytest.raises(TemplateError) as error:
        compile_value(source, ROOTS)
    assert message in error.value.message
    assert mend in error.value.mend
    assert error.value.offset == offset


def test_an_error_in_a_tree_says_where_in_the_tree_it_is():
    with pytest.raises(TemplateError) as error:
        compile_value({"a": [{"b": "{{ nope }}"}]}, ROOTS)
    assert error.value.path == ("a", 0, "b")


@pytest.mark.parametrize("source", ["{{ args.__class__ }}", "{{ args.name.__class__ }}", "{{ args.tags.append }}"])
def test_nothing_of_python_shows_through(source):
    assert value(source) is None


def test_a_template_cannot_change_what_it_is_given():
    before = repr(CONTEXT)
    for name in ("clear", "pop", "update"):
        with pytest.raises(TemplateError):
            compile_value("{{ values.map." + name + "() }}", ROOTS)
    value("{{ args.tags | sort }}")
    text("{% set x = args.tags %}{% for x in x %}{{ x }}{% endfor %}")
    assert repr(CONTEXT) == before


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        (
            "{% for t in args.tags %}{{ loop.index }}{{ t }}{% if not loop.last %}, {% endif %}{% endfor %}",
            "1b, 2a, 3b",
        ),
        ("{% for t in args.missing %}x{% else %}none{% endfor %}", "none"),
        ("{% for p in args.people if p.age > 10 %}{{ p.name }}{% endfor %}", "Ada"),
        ("{% for k, v in values.map | items %}{{ k }}={{ v }}{% endfor %}", "de=Hallo"),
        ("{% for k in values.map %}{{ k }}{% endfor %}", "de"),
        ("{% if args.n > 5 %}a{% elif args.n > 2 %}b{% else %}c{% endif %}", "b"),
        ("{% set n = args.n + 1 %}{% set n = n * 2 %}{{ n }}", "8"),
        ("{% for i in range(2) %}{% for j in range(2) %}{{ i }}{{ j }} {% endfor %}{% endfor %}", "00 01 10 11 "),
        ("a  {{- args.n -}}  b", "a3b"),
        ("a\n{%- if args.flag %} b{% endif -%}\n c", "a bc"),
    ],
)
def test_a_text_template_has_statements(source, expected):
    assert text(source) == expected


def test_what_a_loop_sets_does_not_outlive_its_turn():
    assert text("{% set x = 1 %}{% for i in range(2) %}{{ x }}{% set x = 5 %}{{ x }}{% endfor %}{{ x }}") == "15151"


def test_branches_must_agree_about_a_json_quote():
    for source in (
        '{% if args.n %}"{% endif %}',
        '{% for x in args.tags %}"{% endfor %}',
        '{% if args.n %}"{% else %}{% endif %}"',
    ):
        with pytest.raises(TemplateError, match="different sides of a quote"):
            compile_text(source, ROOTS, "json")
    assert text('[{% if args.n %}"{{ args.name }}"{% else %}1{% endif %}]', "json") == '["Ada"]'


def test_a_json_template_that_gives_no_json_is_an_error():
    with pytest.raises(RenderError, match="valid JSON"):
        text('{"a": {{ args.n }}', "json")
