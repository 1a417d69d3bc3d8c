"""A value never leaves its place: whatever the text, the rendered whole is read back by somebody else's parser."""

import json
import re
from urllib.parse import parse_qsl, unquote, urlsplit
from xml.etree import ElementTree

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from portico.template import RenderError, TemplateError, compile_header, compile_text, compile_url, compile_value

ROOTS = frozenset({"args", "values", "secrets"})
VALUES = {"base": "https://api.example.com:8443/v1/"}

ATTACKS = [*"./?#&=;@+,", "..", "../x", "a/../b", "..\\x", "//evil", "?a=b", "#f", "%2e%2e", "%2F", "&b=1", ";x", ""]
ATTACKS += ["\r\nX: y", "\0", '"', "\\", "'", "</x>", "]]>", "{{ x }}", "{x}", "a b", "é", "\ud800", "@evil"]
texts = st.one_of(st.sampled_from(ATTACKS), st.text(), st.text(st.characters(codec=None)))


def url(source, **args):
    return compile_url(source, ROOTS).render({"args": args, "values": VALUES, "secrets": {"T": "t/&"}})


@given(texts)
@example("a/b")
def test_a_path_argument_stays_one_segment(text):
    try:
        found = urlsplit(url("{{ values.base }}/users/{{ args.x }}/posts?q=1", x=text))
    except RenderError:
        parts = re.split(r"[/\\]", text)
        assert "." in parts or ".." in parts or not text or any("\ud800" <= c <= "\udfff" for c in text)
        return
    assert found[:2] == ("https", "api.example.com:8443")
    assert found.query == "q=1"
    assert found.fragment == ""
    segments = found.path.split("/")
    assert segments[:3] == ["", "v1", "users"]
    assert unquote(segments[3], errors="strict") == text
    assert segments[4:] == ["posts"]
    assert found.path.isascii()
    assert ";" not in found.path


@given(texts, texts)
def test_two_values_in_one_segment_do_not_join_to_dots(one, other):
    try:
        found = urlsplit(url("http://h/a/{{ args.x }}{{ args.y }}/b", x=one, y=other))
    except RenderError:
        return
    assert [unquote(part) for part in found.path.split("/")] == ["", "a", one + other, "b"]
    assert one + other not in (".", "..", "")


@pytest.mark.parametrize("text", ["", ".", "..", "../..", "a/../../b", "..\\..", "/..", "a/.."])
def test_a_path_argument_that_climbs_is_refused(text):
    for source in (
        "http://h/x/{{ args.x }}",
        "http://h/x/{x}",
        "http://h/x/{{ args.x }}/y",
        "http://h/x/{{ args.x ~ '' }}",
    ):
        with pytest.raises(RenderError):
            url(source, x=text)


def test_half_of_a_dot_segment_does_not_complete_one():
    for source in ("http://h/x/.{{ args.x }}", "http://h/x/%2e{{ args.x }}", "http://h/x/{{ args.x }}."):
        with pytest.raises(RenderError, match="dot segments"):
            url(source, x=".")


@given(texts, texts)
def test_a_query_keeps_its_names_and_values(name, text):
    try:
        found = urlsplit(url("http://h/p?a={{ args.x }}&{{ args.n }}=1&b=x{{ args.x }}y&c=2", x=text, n=name))
    except RenderError:
        return
    assert found[:3] == ("http", "h", "/p")
    assert parse_qsl(found.query, keep_blank_values=True, errors="strict") == [
        ("a", text),
        (name, "1"),
        ("b", f"x{text}y"),
        ("c", "2"),
    ]


def test_a_query_value_that_is_not_there_is_left_out():
    assert url("http://h/p?a={{ args.x }}&b={{ args.y }}&c=1", y=None) == "http://h/p?c=1"
    assert url("http://h/p?a={{ args.x }}", x=[1, True, "b c"]) == "http://h/p?a=1&a=true&a=b%20c"
    assert url("http://h/p?a={{ args.x }}", x={"k": {"l": 1}}) == "http://h/p?a%5Bk%5D%5Bl%5D=1"
    assert url("http://h/p?a={{ args.x }}", x=[]) == "http://h/p"


@pytest.mark.parametrize(
    "source",
    [
        "{{ args.x }}",
        "{{ args.x }}/path",
        "http://{{ args.x }}/path",
        "http://api.{{ args.x }}.example.com/path",
        "http://h:{{ args.x }}/path",
        "http://{x}/path",
        "{{ values.base ~ args.x }}/path",
        "{{ values.base }}{{ args.x }}",
        "{{ values.base }}.evil.com/",
        "{{ 'http://h' }}/path",
        "ftp://h/path",
        "/path",
        "",
        "http://h/a/../b",
        "http://h/a/%2e%2e/b",
        "http://h/p#f",
        "http://user:password@h/p",
        "http://h:port/p",
        "http:///p",
        "http://h/{% if args.x %}a{% endif %}",
    ],
)
def test_where_a_call_goes_is_decided_by_the_document_alone(source):
    with pytest.raises(TemplateError) as error:
        compile_url(source, ROOTS)
    assert error.value.mend


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("{{ values.base }}/x", "https://api.example.com:8443/v1/x"),
        ("{{ values.base }}?a=1", "https://api.example.com:8443/v1?a=1"),
        ("{{ values.base }}", "https://api.example.com:8443/v1"),
        ("http://h/a b/é?x=y z", "http://h/a%20b/%C3%A9?x=y%20z"),
        ("http://h/{{ values.base }}", "http://h/https:%2F%2Fapi.example.com:8443%2Fv1%2F"),
        ("http://h/{{ secrets.T }}?k={{ secrets.T }}", "http://h/t%2F%26?k=t%2F%26"),
        ("http://[::1]:8080/x", "http://[::1]:8080/x"),
        ("http://h/=&/x", "http://h/=&/x"),
        ("http://h/p?a==b&flag", "http://h/p?a==b&flag"),
        ("http://h/{a-b}", "http://h/1"),
    ],
)
def test_a_url_is_written_as_the_document_says(source, expected):
    assert url(source, **{"a-b": 1}) == expected


@pytest.mark.parametrize(
    "base", ["http://h@evil", "h", "http://h/../x", "http://h?x", "http://h#x", "http://h h", "http://h:x"]
)
def test_a_base_that_is_no_origin_is_refused_in_the_call(base):
    with pytest.raises(RenderError):
        compile_url("{{ values.base }}/x", ROOTS).render({"values": {"base": base}, "args": {}})


@given(texts)
def test_a_header_value_holds_no_line_end(text):
    template = compile_header("v={{ args.x }}", ROOTS)
    assert template.render({"args": {"x": text}}) == f"v={text}"


@given(texts, texts)
def test_a_json_text_keeps_its_shape(text, key):
    source = '{"in": "a{{ args.x }}\\"b", "out": {{ args.x }}, "{{ args.k }}!": [{{ args.n }}]}'
    template = compile_text(source, ROOTS, "json")
    try:
        found = json.loads(template.render({"args": {"x": text, "k": key, "n": {"k": text}}}))
    except RenderError:
        assert any("\ud800" <= c <= "\udfff" for c in text + key)
        return
    assert found == {"in": f'a{text}"b', "out": text, f"{key}!": [{"k": text}]}


@given(st.recursive(st.none() | st.booleans() | st.integers() | texts, lambda inner: st.lists(inner, max_size=3)))
def test_a_value_tree_keeps_values_as_they_are(value):
    assert compile_value({"a": "{{ args.x }}"}, ROOTS).render({"args": {"x": value}}) == {"a": value}


@given(texts)
def test_an_xml_text_keeps_its_elements(text):
    template = compile_text('<a k="{{ args.x }}"><b>{{ args.x }}</b></a>', ROOTS, "xml")
    try:
        root = ElementTree.fromstring(template.render({"args": {"x": text}}).encode())
    except RenderError:
        return
    assert [child.tag for child in root] == ["b"]
    assert root[0].text == (text or None)
    # XML itself makes one space of each line end and tab in an attribute.
    assert root.attrib["k"] == re.sub("[\t\n]", " ", text)


@given(texts)
def test_a_form_text_keeps_its_fields(text):
    template = compile_text("a={{ args.x }}&b=1", ROOTS, "form")
    try:
        found = template.render({"args": {"x": text}})
    except RenderError:
        return
    assert parse_qsl(found, keep_blank_values=True) == [("a", text), ("b", "1")]
