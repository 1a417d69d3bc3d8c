"""What becomes of an upstream's answer."""

import base64
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portico.config.document import Tool
from portico.net.response import Head, Response
from portico.template import TemplateError
from portico.upstream.http_answer import Shaped, compile_answer

SCOPE = {"args": {"name": "Ada"}, "request": {"headers": {}}, "session": {"id": None}}
USER = b'{"id": 12345678901234567890, "username": "ada", "tags": ["a", "b"], "price": 1.10}'


def answer(
    body: bytes = USER, content_type: str | None = "application/json", status: int = 200, *headers: str
) -> Response:
    lines = [f"HTTP/1.1 {status} Whatever", *([f"Content-Type: {content_type}"] if content_type else []), *headers]
    head = "\r\n".join(lines).encode()
    return Response(Head(status, head, head.lower()), body)


def shape(response: Response, **config: Any) -> Shaped:
    tool = Tool.model_validate({"name": "tool", "request": {"url": "http://h/"}, "response": config})
    return compile_answer(tool, {"unit": "EUR"}).shape(response, SCOPE)


def blocks(shaped: Shaped) -> list[dict[str, Any]]:
    return json.loads(shaped.content)


def text(shaped: Shaped) -> str:
    (block,) = blocks(shaped)
    assert block["type"] == "text"
    return block["text"]


def test_json_passes_as_it_came_and_is_structured_content_too():
    shaped = shape(answer())
    assert text(shaped) == USER.decode()
    assert shaped.structured == USER
    assert (shaped.is_error, shaped.status) == (False, 200)


def test_structured_content_has_no_line_ends_and_keeps_its_numbers():
    shaped = shape(answer(b'{\r\n "n": 12345678901234567890.10,\n "s": "a\\nb"\n}'))
    assert shaped.structured == b'{"n":12345678901234567890.10,"s":"a\\nb"}'
    assert text(shaped).startswith('{\r\n "n"')


@pytest.mark.parametrize(
    "body",
    [b"nope", b'{"a": 1', b'{"a": "\\ud800"}', b'{"a": "\xff"}', b"[1,]", b"NaN", b"[" * 100_000 + b"]" * 100_000],
)
def test_what_only_claims_to_be_json_stays_text(body):
    shaped = shape(answer(body))
    assert shaped.structured is None
    assert not shaped.is_error
    assert text(shaped) == body.decode("utf-8", "replace")


@given(
    st.binary(),
    st.sampled_from(["application/json", "text/plain", "text/html; charset=latin-1", "image/png", "x", None]),
)
def test_any_body_becomes_valid_content(body, content_type):
    shaped = shape(answer(body, content_type))
    assert isinstance(blocks(shaped), list)
    assert b"\n" not in shaped.content
    if shaped.structured is not None:
        json.loads(shaped.structured)


@pytest.mark.parametrize("value", [1, "text", [1, 2], None, True])
def test_any_json_value_is_structured(value):
    assert json.loads(shape(answer(json.dumps(value).encode())).structured or b"") == value


@pytest.mark.parametrize(
    ("body", "content_type", "expected"),
    [
        ("grün".encode(), "text/plain", "grün"),
        ("grün".encode("latin-1"), "text/plain; charset=ISO-8859-1", "grün"),
        ("grün".encode("utf-16"), 'text/plain; charset="utf-16"', "grün"),
        (b"\xef\xbb\xbfabc", "text/csv", "abc"),
        (b"gr\xfcn", "text/plain", "gr\ufffdn"),
        (b"abc", "text/plain; charset=zip", "abc"),
        (b"abc", "text/plain; charset=nonsense", "abc"),
        (b"<a/>", "application/xml", "<a/>"),
        (b"<svg/>", "image/svg+xml", "<svg/>"),
        (b"a=b", "application/x-www-form-urlencoded", "a=b"),
        (b"abc", None, "abc"),
    ],
)
def test_text_is_decoded(body, content_type, expected):
    assert text(shape(answer(body, content_type))) == expected


@pytest.mark.parametrize(("content_type", "kind"), [("image/png", "image"), ("audio/wav; rate=8000", "audio")])
def test_pictures_and_sounds_become_content_of_their_kind(content_type, kind):
    (block,) = blocks(shape(answer(b"\x89PNG\0", content_type)))
    expected = base64.b64encode(b"\x89PNG\0").decode()
    assert block == {"type": kind, "data": expected, "mimeType": content_type.split(";")[0]}


@pytest.mark.parametrize("content_type", ["application/zip", None, "nonsense"])
def test_other_bytes_become_an_embedded_resource(content_type):
    (block,) = blocks(shape(answer(b"PK\0\xff", content_type)))
    mime = content_type if content_type == "application/zip" else "application/octet-stream"
    assert block == {
        "type": "resource",
        "resource": {"uri": "portico://answer/tool", "mimeType": mime, "blob": "UEsA/w=="},
    }


def test_an_empty_answer_says_its_status():
    assert text(shape(answer(b"", None, 204))) == "HTTP 204 No Content"


@pytest.mark.parametrize("status", [400, 404, 429, 500, 599])
def test_an_error_status_is_an_error_with_status_and_body(status):
    shaped = shape(answer(b'{"error": "no"}', status=status), body={"id": "{{ response.json.id }}"})
    assert shaped.is_error
    assert shaped.structured is None
    first, _, rest = text(shaped).partition("\n")
    assert first.startswith(f"HTTP {status}")
    assert rest == '{"error": "no"}'


def test_the_body_of_an_error_is_bounded():
    assert len(text(shape(answer(b"x" * 300_000, "text/plain", 500)))) < 66_000
    assert text(shape(answer(b"\0" * 9, "image/png", 500))) == "HTTP 500 Internal Server Error\n(9 bytes of image/png)"


@pytest.mark.parametrize(
    ("location", "said"),
    [
        ("https://evil.example:8443/path?token=secret", "https://evil.example:8443,"),
        ("/elsewhere?token=secret", "within its own origin,"),
        ("//evil.example/token-secret", "evil.example,"),
        ("http://[broken/secret", ""),
    ],
)
def test_a_redirect_is_an_error_that_names_the_origin_only(location, said):
    shaped = shape(answer(b"", None, 302, f"Location: {location}"))
    assert shaped.is_error
    assert "redirects are not followed" in text(shaped)
    assert said in text(shaped)
    assert "secret" not in text(shaped)


def test_a_body_template_makes_a_value_of_the_answer():
    shaped = shape(
        answer(), body={"id": "{{ response.json.id }}", "by": "{{ args.name }}", "none": "{{ response.json.x }}"}
    )
    assert shaped.structured == b'{"id":12345678901234567890,"by":"Ada"}'
    assert text(shaped) == shaped.structured.decode()


def test_a_text_template_makes_a_text_of_the_answer():
    body = "{{ response.status }} {{ response.headers.X-N }} {{ values.unit }}"
    body += "{% for t in response.json.tags %}<{{ t }}>{% endfor %}"
    shaped = shape(answer(USER, "application/json", 200, "X-N: 1", "x-n: 2"), body=body)
    assert text(shaped) == "200 1, 2 EUR<a><b>"
    assert shaped.structured is None


def test_content_blocks_are_authored():
    content = [
        {"type": "text", "text": "{{ response.json.id }}"},
        {"type": "text", "text": "{{ response.json.missing }}"},
        {"type": "image", "data": "{{ response.base64 }}", "mimeType": "image/png"},
        {
            "type": "resource",
            "resource": {"uri": "x://{{ response.json.username }}", "text": "{{ response.json.tags }}"},
        },
    ]
    assert blocks(shape(answer(), content=content)) == [
        {"type": "text", "text": "12345678901234567890"},
        {"type": "text", "text": ""},
        {"type": "image", "data": base64.b64encode(USER).decode(), "mimeType": "image/png"},
        {"type": "resource", "resource": {"uri": "x://ada", "text": '["a","b"]'}},
    ]


def test_select_is_a_jmespath_expression():
    assert shape(answer(), select="{u: username, n: length(tags)}").structured == b'{"u":"ada","n":2}'
    assert shape(answer(), select="tags", body={"first": "{{ response.json[0] }}"}).structured == b'{"first":"a"}'


@pytest.mark.parametrize("config", [{"select": "a"}, {"body": "{{ response.json.id }}"}])
def test_an_answer_that_should_be_json_and_is_not_is_an_error(config):
    shaped = shape(answer(b"<html>", "text/html"), **config)
    assert shaped.is_error
    assert "it is not JSON (HTTP 200, text/html, 6 bytes)" in text(shaped)


def test_select_that_does_not_fit_is_an_error():
    assert shape(answer(), select="abs(username)").is_error


@pytest.mark.parametrize(
    "select",
    [
        "[@,@]" + "|[@,@]" * 60,
        "[@,@]" + "|[@,@]" * 60 + "|to_string(@)",
        "[@,@]" + "|[@,@]" * 60 + "|@ == @",
        "{a:@,b:@}" + "|{a:@,b:@}" * 60 + "|values(@)|sort(@)",
        "(" * 2000 + "a" + ")" * 2000,
        "a" * 5000,
        "a[",
    ],
)
def test_select_is_bounded(select):
    with pytest.raises((TemplateError, AssertionError), match="select"):
        assert not (shaped := shape(answer(), select=select)).is_error, text(shaped)


SCHEMA = {"type": "object", "properties": {"id": {"type": "integer"}}, "required": ["id"]}


def test_structured_content_that_matches_the_output_schema_passes():
    assert shape(answer(), outputSchema=SCHEMA).structured == USER
    assert shape(answer(), outputSchema=SCHEMA, body='{"id": {{ response.json.id }}}').structured
    assert shape(answer(), outputSchema=SCHEMA, content=[{"type": "text", "text": "x"}]).structured


@pytest.mark.parametrize(
    ("body", "content_type", "where"),
    [
        (b'{"id": "x"}', "application/json", "at id"),
        (b"{}", "application/json", "at the top"),
        (b"hello", "text/plain", "no JSON"),
        (b"", None, "no JSON"),
    ],
)
def test_structured_content_that_does_not_match_is_an_error_that_says_where(body, content_type, where):
    shaped = shape(answer(body, content_type), outputSchema=SCHEMA)
    assert shaped.is_error
    assert shaped.structured is None
    assert where in text(shaped)


@pytest.mark.parametrize("reference", ["http://127.0.0.1:9/x.json", "file:///etc/passwd"])
def test_an_output_schema_is_never_fetched(reference):
    with pytest.raises(Exception, match="references lead nowhere"):
        shape(answer(), outputSchema={"$ref": reference})
