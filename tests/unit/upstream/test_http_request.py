"""Rendered requests, read back by parsers that are not ours: a value never leaves its place."""

import base64
import json
from collections.abc import Mapping
from email import message_from_bytes, policy
from http.cookies import SimpleCookie
from typing import Any
from urllib.parse import parse_qsl, unquote

import h11
import httptools
import pytest
from hypothesis import given
from hypothesis import strategies as st

from portico import __version__
from portico.config.document import Tool
from portico.template import RenderError, TemplateError
from portico.upstream.http_request import RequestPlan, compile_request

VALUES = {"base": "http://api.test:8080/v1", "nested": {"a": [1]}}
SECRETS = {"TOKEN": "s3cret", "KEY": "k&y/"}
URL = "{{ values.base }}/things"

texts = st.one_of(
    st.text(), st.sampled_from(['"', "\r\nX-Evil: 1", "--", "&a=b", "a\0b", "../..", "é", ";", "\\", "%"])
)
sendable = texts.filter(lambda text: not any("\ud800" <= c <= "\udfff" for c in text))


def plan(request: dict[str, Any] | None = None, *args: dict[str, Any], **more: Any) -> RequestPlan:
    written = {"name": "tool", "request": {"url": URL, **(request or {})}, **more}
    if args:
        written["args"] = list(args)
    return compile_request(Tool.model_validate(written), VALUES, SECRETS)


class Parsed:
    """A request as h11 and httptools, which must agree, read it."""

    def __init__(self, data: bytes) -> None:
        self.headers: list[tuple[str, str]] = []
        self.body = b""
        self.seen = b""
        server = h11.Connection(h11.SERVER)
        server.receive_data(data)
        events = []
        while (event := server.next_event()) not in (h11.NEED_DATA, h11.PAUSED):
            events.append(event)
        request = events[0]
        assert isinstance(request, h11.Request)
        assert isinstance(events[-1], h11.EndOfMessage)
        assert server.trailing_data == (b"", False)
        self.method = request.method.decode()
        self.target = request.target.decode()
        self.headers = [(name.decode(), value.decode()) for name, value in request.headers]
        self.body = b"".join(bytes(event.data) for event in events if isinstance(event, h11.Data))
        parser = httptools.HttpRequestParser(self)
        parser.feed_data(data)
        assert parser.get_method() == request.method
        assert self.seen == request.target

    def on_url(self, url: bytes) -> None:
        self.seen += url

    def header(self, name: str) -> str | None:
        found = [value for key, value in self.headers if key == name.lower()]
        assert len(found) < 2
        return found[0] if found else None


def sent(compiled: RequestPlan, request: Mapping[str, Any] | None = None, **args: Any) -> Parsed:
    scope = {"args": args, "request": request or {}, "session": {"id": None}}
    return Parsed(compiled.render(scope).data)


def test_a_request_has_what_the_document_says_and_nothing_of_the_caller():
    parsed = sent(plan({"headers": {"Authorization": "Bearer {{ secrets.TOKEN }}"}}), {"headers": {"cookie": "a=b"}})
    assert parsed.method == "GET"
    assert parsed.target == "/v1/things"
    assert dict(parsed.headers) == {
        "host": "api.test:8080",
        "user-agent": f"portico/{__version__}",
        "accept": "application/json, */*;q=0.9",
        "accept-encoding": "gzip, br, zstd, deflate",
        "authorization": "Bearer s3cret",
    }


def test_only_named_values_of_the_callers_request_are_asked_for():
    compiled = plan(
        {
            "url": URL + "?q={{ request.query.q }}",
            "headers": {"X-Trace": "{{ request.headers.X-Trace }}", "X-Session": "{{ session.id }}"},
            "cookies": {"c": "{{ request.cookies.c }}"},
        }
    )
    assert compiled.request_reads == {("headers", "x-trace"), ("query", "q"), ("cookies", "c")}
    parsed = sent(compiled, {"headers": {"x-trace": "t"}, "cookies": {"c": "1"}})
    assert (parsed.target, parsed.header("x-trace"), parsed.header("cookie")) == ("/v1/things", "t", "c=1")
    assert parsed.header("x-session") is None
    assert sent(compiled).header("x-trace") is None


@given(sendable, sendable, sendable)
def test_path_and_query_arguments_stay_where_they_are(one, two, three):
    compiled = plan(
        {"url": "{{ values.base }}/a/{one}/b", "query": {"w": "{{ args.two }}!"}},
        {"name": "one", "in": "path"},
        {"name": "two", "in": "query", "as": "a[b]&c"},
        {"name": "three", "in": "query", "explode": False},
    )
    try:
        parsed = sent(compiled, one=one, two=two, three=[three, 1])
    except RenderError:
        assert not one or {"", ".", ".."} & set(one.replace("\\", "/").split("/"))
        return
    path, _, query = parsed.target.partition("?")
    assert [unquote(part, errors="strict") for part in path.split("/")] == ["", "v1", "a", one, "b"]
    found = parse_qsl(query, keep_blank_values=True, errors="strict")
    assert found == [("w", two + "!"), ("a[b]&c", two), ("three", f"{three},1")]
    assert parsed.header("host") == "api.test:8080"


@given(texts)
def test_a_header_argument_is_one_header_or_an_error(text):
    compiled = plan({"headers": {"X-One": "v {{ args.x }}"}}, {"name": "x", "in": "header", "as": "X-Two"})
    try:
        parsed = sent(compiled, x=text)
    except RenderError:
        assert not text.isascii() or not text.isprintable()
        return
    assert (parsed.header("x-one"), parsed.header("x-two")) == (f"v {text}".strip(), text.strip())
    assert len(parsed.headers) == 6


@given(sendable)
def test_a_cookie_argument_is_one_cookie(text):
    parsed = sent(plan({"cookies": {"a": "{{ args.x }}"}}, {"name": "x", "in": "cookie", "as": "b"}), x=text)
    jar = SimpleCookie(parsed.header("cookie"))
    assert {name: unquote(morsel.value) for name, morsel in jar.items()} == {"a": text, "b": text}


@given(
    st.dictionaries(
        st.sampled_from(["one", "two", "three"]), st.recursive(sendable | st.integers() | st.none(), st.lists)
    )
)
def test_body_arguments_become_a_json_object(given_args):
    args = [{"name": "one", "in": "body", "as": "1"}, {"name": "two", "in": "body"}, {"name": "three", "in": "query"}]
    parsed = sent(plan({"method": "POST"}, *args), **{k: v for k, v in given_args.items() if k != "three"})
    expected = {"1" if name == "one" else name: value for name, value in given_args.items() if name != "three"}
    assert json.loads(parsed.body) == expected
    assert parsed.header("content-type") == "application/json"
    assert parsed.header("content-length") == str(len(parsed.body))


@given(sendable)
def test_a_written_json_body_keeps_its_shape(text):
    body = {"a": "{{ args.x }}", "b": ["x{{ args.x }}", "{{ args.none }}"], "c": {"d": "{{ args.none }}", "e": None}}
    parsed = sent(plan({"method": "PUT", "body": body}, {"name": "x"}), x=text)
    assert json.loads(parsed.body) == {"a": text, "b": ["x" + text], "c": {"e": None}}


@given(sendable)
def test_a_json_text_body_keeps_its_shape(text):
    parsed = sent(plan({"method": "POST", "body": '{"a": "<{{ args.x }}>", "b": {{ args.x }}}'}, {"name": "x"}), x=text)
    assert json.loads(parsed.body) == {"a": f"<{text}>", "b": text}
    assert parsed.header("content-type") == "application/json"


@given(sendable, sendable)
def test_form_fields_stay_fields(one, two):
    compiled = plan({"method": "POST", "form": {"w&": "{{ args.one }}", "n": None}}, {"name": "two", "in": "form"})
    parsed = sent(compiled, one=one, two=[two, two])
    assert parse_qsl(parsed.body.decode(), keep_blank_values=True) == [("w&", one), ("two", two), ("two", two)]
    assert parsed.header("content-type") == "application/x-www-form-urlencoded"


@given(sendable, st.binary(), sendable)
def test_multipart_parts_stay_parts(text, data, filename):
    compiled = plan(
        {
            "method": "POST",
            "headers": {"Content-Type": "multipart/form-data"},
            "multipart": {
                'na"me': {"content": "{{ args.text }}"},
                "file": {"content": "{{ args.data }}", "filename": "f{{ args.filename }}", "base64": True},
            },
        },
        {"name": "text", "in": "body"},
        {
            "name": "data",
            "in": "multipart",
            "as": "avatar",
            "contentEncoding": "base64",
            "contentMediaType": "image/png",
        },
        {"name": "more", "in": "multipart", "type": "object"},
        {"name": "text2", "in": "multipart"},
        {"name": "filename"},
    )
    encoded = base64.b64encode(data).decode()
    parsed = sent(compiled, text=text, data=encoded, filename=filename, more={"k": text})
    content_type = parsed.header("content-type") or ""
    message = message_from_bytes(
        b"Content-Type: " + content_type.encode() + b"\r\n\r\n" + parsed.body, policy=policy.HTTP
    )
    boundary = content_type.partition("boundary=")[2].encode()
    raw = parsed.body.split(b"--" + boundary)
    assert (raw[0], raw[-1]) == (b"", b"--\r\n")
    bodies = [part.split(b"\r\n\r\n", 1) for part in raw[1:-1]]
    assert [content[:-2] for _, content in bodies] == [text.encode(), data, text.encode(), data, bodies[4][1][:-2]]
    assert json.loads(bodies[4][1]) == {"k": text}
    parts = list(message.iter_parts())
    assert [part.get_param("name", header="content-disposition") for part in parts] == [
        "na%22me",
        "file",
        "text",
        "avatar",
        "more",
    ]
    assert [part.get_content_type() for part in parts][3:] == ["image/png", "application/json"]
    assert all(head.count(b"\r\n") <= 2 for head, _ in bodies)


def test_a_boundary_that_occurs_in_a_content_is_not_used(monkeypatch):
    drawn = iter(["aaaa", "bbbb"])
    monkeypatch.setattr("secrets.token_hex", lambda size: next(drawn))
    compiled = plan({"method": "POST", "multipart": {"f": "{{ args.x }}"}}, {"name": "x"})
    assert sent(compiled, x="\r\n--aaaa--\r\n").header("content-type") == "multipart/form-data; boundary=bbbb"


def test_an_input_schema_without_args_sends_what_no_template_reads():
    compiled = plan(
        {"method": "POST", "url": "{{ values.base }}/{id}", "headers": {"X": "{{ args.x }}"}},
        inputSchema={"type": "object", "properties": {"id": {}, "x": {}, "y": {}}},
    )
    assert json.loads(sent(compiled, id=1, x="2", y=[3]).body) == {"y": [3]}
    assert sent(plan(inputSchema={"type": "object"}), y=1).body == b""


@pytest.mark.parametrize(
    ("value", "written"),
    [(True, "true"), (1.5, "1.5"), (10**20, "100000000000000000000"), (["a,b", "c"], "a%2Cb,c"), ("a,b", "a%2Cb")],
)
def test_values_in_a_path_are_written_as_json_writes_them(value, written):
    compiled = plan({"url": "http://h/{x}"}, {"name": "x", "in": "path"})
    assert sent(compiled, x=value).target == f"/{written}"


@pytest.mark.parametrize("value", [None, {"a": 1}, [None]])
def test_null_and_objects_have_no_place_in_a_path(value):
    with pytest.raises(RenderError):
        sent(plan({"url": "http://h/{x}"}, {"name": "x", "in": "path"}), x=value)


def test_null_is_left_out_of_query_headers_cookies_and_forms():
    args = [{"name": f"{place}-x", "in": place} for place in ("query", "header", "cookie", "form")]
    parsed = sent(plan({"method": "POST"}, *args), **{arg["name"]: None for arg in args})
    assert parsed.target == "/v1/things"
    assert parsed.body == b""
    assert parsed.header("header-x") is parsed.header("cookie") is None


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH"])
def test_a_method_with_a_body_has_a_length_even_without_one(method):
    assert sent(plan({"method": method})).header("content-length") == "0"


@pytest.mark.parametrize(
    ("request_part", "args", "why"),
    [
        ({"headers": {"Host": "evil"}}, [], "Host"),
        ({"headers": {"content-length": "1"}}, [], "content-length"),
        ({"headers": {"Transfer-Encoding": "chunked"}}, [], "Transfer-Encoding"),
        ({"headers": {"a b": "x"}}, [], "not a header name"),
        ({}, [{"name": "Host", "in": "header"}], "Host"),
        ({}, [{"name": "x\r\ny", "in": "header"}], "not a header name"),
        ({}, [{"name": "a=b", "in": "cookie"}], "not a cookie name"),
        ({"headers": {"Cookie": "x"}, "cookies": {"a": "b"}}, [], "both cookies and a header"),
        ({}, [{"name": "id", "in": "path"}], "no place for the path argument"),
        ({"url": "http://{{ args.x }}/"}, [{"name": "x"}], "where a call goes"),
    ],
)
def test_a_request_that_can_never_be_sent_is_refused_when_it_is_compiled(request_part, args, why):
    with pytest.raises(TemplateError, match=why):
        plan(request_part, *args)


def test_a_configured_header_wins_over_an_argument_of_the_same_name():
    compiled = plan(
        {"headers": {"Authorization": "Bearer {{ secrets.TOKEN }}"}}, {"name": "authorization", "in": "header"}
    )
    assert sent(compiled, authorization="mine").header("authorization") == "Bearer s3cret"


def test_a_secret_shows_in_the_request_but_not_in_what_logs_see():
    url = "{{ values.base }}/{{ secrets.KEY }}/{x}?k={{ secrets.KEY }}"
    compiled = plan({"url": url, "query": {"q": "{{ secrets.KEY }}"}}, {"name": "x"})
    rendered = compiled.render({"args": {"x": "1"}})
    assert Parsed(rendered.data).target == "/v1/k%26y%2F/1?k=k%26y%2F&q=k%26y%2F"
    assert rendered.target == "/v1/REDACTED/1?k=REDACTED&q=REDACTED"
    hook = compile_request(
        Tool.model_validate({"name": "t", "request": {"url": "{{ secrets.HOOK }}/x"}}), {}, {"HOOK": "http://h/T0/B0"}
    )
    assert hook.render({"args": {}}).target == "/REDACTED/x"


@pytest.mark.parametrize("url", ["{{ secrets.NONE }}/x", "{{ values.base }}/{{ secrets.NONE }}"])
def test_a_missing_secret_fails_the_calls_that_need_it(url):
    with pytest.raises(RenderError) as error:
        sent(plan({"url": url}))
    assert "secrets.NONE" in error.value.message
    with pytest.raises(RenderError):
        sent(plan({"headers": {"Authorization": "Bearer {{ secrets.NONE }}"}}))


def test_the_origin_is_known_once():
    compiled = plan({"proxy": "socks5://{{ values.nested.a[0] }}:1080", "url": "https://Bücher.example/x"})
    assert compiled.origin is not None
    assert (compiled.origin.scheme, compiled.origin.host, compiled.origin.port) == (
        "https",
        "xn--bcher-kva.example",
        443,
    )
    assert compiled.origin.proxy == "socks5://1:1080"
    assert sent(compiled).header("host") == "xn--bcher-kva.example"
    assert sent(plan({"url": "http://[::1]:80/"})).header("host") == "[::1]"


@pytest.mark.parametrize(
    ("method", "hint", "idempotent"),
    [("GET", None, True), ("PUT", None, True), ("DELETE", None, True), ("POST", None, False), ("POST", True, True)],
)
def test_what_may_be_sent_twice(method, hint, idempotent):
    annotations = {} if hint is None else {"annotations": {"idempotentHint": hint}}
    assert plan({"method": method}, **annotations).idempotent is idempotent


def test_a_head_that_is_too_long_is_an_error():
    with pytest.raises(RenderError, match="64 KiB"):
        sent(plan({}, {"name": "x", "in": "query"}), x="x" * 70_000)


@pytest.mark.parametrize("place", ["headers", "query", "cookies", "form"])
def test_a_missing_secret_does_not_quietly_leave_a_credential_out(place):
    with pytest.raises(RenderError, match=r"there is no secret `secrets\.NONE`"):
        sent(plan({"method": "POST", place: {"key": "{{ secrets.NONE }}"}}))
