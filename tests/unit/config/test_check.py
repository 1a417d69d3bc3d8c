"""Judging a document as a whole: what is accepted, several problems at once, bounds, and documents side by side."""

import time
from pathlib import Path

import pytest

from portico.config.check import Checked, check, check_together
from portico.config.document import Document
from portico.config.problem import Severity
from portico.config.report import check_paths

GOOD = """
version: 1
name: user-service
values: {base: "http://127.0.0.1:5236"}
routers:
  - prefix: /users
    server: users
    cors: {allowOrigins: ["https://console.example.com"]}
    limits: {timeout: 60s}
servers:
  - {name: users, tools: [get_user, register, avatar], prompts: [welcome], resources: ["users://guide", "users://user/{email}"]}
tools:
  - name: get_user
    annotations: {readOnlyHint: true}
    args:
      - {name: email, in: path, type: string, format: email, required: true}
    request:
      url: "{{ values.base }}/users/email/{email}"
      headers: {Authorization: "Bearer {{ secrets.TOKEN }}", X-Trace: "{{ request.headers.x-trace }}"}
      timeout: 10s
      proxy: socks5://127.0.0.1:1080
    response:
      select: "{id: id, name: username}"
      outputSchema: {type: object, properties: {id: {type: string}}}
  - name: register
    inputSchema:
      type: object
      properties: {username: {type: string, x-mcp-header: User}, home: {$ref: "#/$defs/place"}}
      $defs: {place: {type: object, properties: {within: {$ref: "#/$defs/place"}}}}
    request:
      method: POST
      url: "{{ values.base }}/users"
      body: |
        {"name": {{ args.username }}, "home": {{ args.home }}}
  - name: avatar
    args:
      - {name: id, in: path, type: integer, required: true}
      - {name: picture, type: string, contentEncoding: base64}
    request:
      method: PUT
      url: "http://127.0.0.1:5236/users/{{ args.id }}/avatar"
      multipart: {note: "of {{ args.id }}", file: {content: "{{ args.picture }}", filename: a.png, base64: true}}
    response:
      content:
        - {type: text, text: "{{ response.status }}"}
        - {type: image, data: "{{ response.base64 }}", mimeType: image/png}
prompts:
  - name: welcome
    arguments: [{name: name, required: true}]
    messages: [{role: user, content: {type: text, text: "Greet {{ args.name }}."}}]
resources:
  - {uri: "users://guide", name: guide, mimeType: text/markdown, text: "# Guide"}
  - {uriTemplate: "users://user/{email}", name: user, tool: get_user}
"""


def other(source: str, name: str, *prefixes: str, tenant: str = "default") -> Checked:
    routers = ", ".join(f"{{prefix: {prefix}, server: s}}" for prefix in prefixes)
    return check(f"name: {name}\ntenant: {tenant}\nservers: [{{name: s}}]\nrouters: [{routers}]\n", source)


def test_a_good_document_has_no_problem() -> None:
    checked = check(GOOD, "users.yaml", secrets=frozenset({"TOKEN"}))
    assert checked.problems == ()
    assert isinstance(checked.document, Document)
    part = (checked.document.tools[2].request.multipart or {})["note"]
    assert part.content == "of {{ args.id }}"


def test_secrets_are_not_judged_where_nobody_knows_them() -> None:
    assert check(GOOD, "users.yaml").problems == ()


def test_every_problem_is_told_at_once_and_in_order() -> None:
    text = GOOD.replace("server: users", "server: user").replace("readOnlyHint", "readOnlyHnt")
    text = text.replace("args.name", "args.nam").replace("uri: ", "url: ")
    checked = check(text, "users.yaml")
    found = [problem.code for problem in checked.problems]
    assert found == ["unknown-server", "unknown-resource", "unknown-field", "unknown-argument", "unknown-field"]
    assert [problem.line for problem in checked.problems] == sorted(problem.line for problem in checked.problems)


@pytest.mark.parametrize(
    ("text", "mend"),
    [
        (GOOD.replace("routers:", "ruoters:"), 'Did you mean "routers"?'),
        (GOOD.replace("server: users", "server: usres"), 'Did you mean "users"?'),
        (GOOD.replace("values.base", "values.bas"), 'Did you mean "base"?'),
        (GOOD.replace("tool: get_user", "tool: getUser"), 'Did you mean "get_user"?'),
        (GOOD.replace("in: path", "in: pth"), 'Did you mean "path"?'),
    ],
)
def test_a_misspelling_is_mended_by_the_nearest_name(text: str, mend: str) -> None:
    assert mend in [problem.mend for problem in check(text, "users.yaml").problems]


def test_names_in_the_code_are_no_names_in_the_text() -> None:
    text = GOOD.replace("inputSchema:", "input_schema:")
    assert [problem.code for problem in check(text, "users.yaml").problems][:1] == ["unknown-field"]


def test_a_secret_that_is_not_there_does_not_name_those_that_are() -> None:
    checked = check(GOOD, "users.yaml", secrets=frozenset({"TOKENS_OF_SOMEBODY"}))
    assert [problem.code for problem in checked.problems] == ["unknown-secret"]
    assert "TOKENS_OF_SOMEBODY" not in checked.problems[0].render()
    assert checked.document is not None


def test_what_a_document_says_cannot_command_a_terminal() -> None:
    checked = check('name: "a\\e[31m\\n\\u202e"\n', "a.yaml")
    assert checked.problems
    for problem in checked.problems:
        assert problem.render().isprintable()


def test_there_is_an_end_to_problems() -> None:
    start = time.perf_counter()
    checked = check("name: a\n" + "".join(f"field{n}: 1\n" for n in range(40_000)), "a.yaml")
    assert len(checked.problems) == 201
    assert checked.document is None
    assert time.perf_counter() - start < 10


def test_errors_are_not_crowded_out_by_notes() -> None:
    tools = "".join(f"- {{name: t{n}, request: {{url: 'http://h/'}}}}\n" for n in range(300))
    checked = check(
        f"name: a\nservers: [{{name: s, tools: []}}]\ntools:\n{tools}values: {{a: &x 1, b: *x}}\ntals: 1\n", "a"
    )
    assert "unknown-field" in [problem.code for problem in checked.problems]


def test_a_schema_whose_references_explode_is_refused_before_it_runs() -> None:
    defs = ", ".join(
        f"a{n}: {{allOf: [{{$ref: '#/$defs/a{n + 1}'}}, {{$ref: '#/$defs/a{n + 1}'}}]}}" for n in range(30)
    )
    tool = f"{{type: object, default: {{}}, $ref: '#/$defs/a0', $defs: {{{defs}, a30: {{}}}}}}"
    start = time.perf_counter()
    checked = check(f"name: a\ntools: [{{name: t, request: {{url: 'http://h/'}}, inputSchema: {tool}}}]", "a.yaml")
    assert time.perf_counter() - start < 1
    assert "schema-too-costly" in [problem.code for problem in checked.problems]


def test_a_long_chain_of_references_is_refused() -> None:
    defs = ", ".join(f"a{n}: {{$ref: '#/$defs/a{n + 1}'}}" for n in range(9000))
    tool = f"{{type: object, $ref: '#/$defs/a0', $defs: {{{defs}, a9000: {{}}}}}}"
    checked = check(f"name: a\ntools: [{{name: t, request: {{url: 'http://h/'}}, inputSchema: {tool}}}]", "a.yaml")
    assert "schema-too-costly" in [problem.code for problem in checked.problems]


def test_the_first_by_source_name_keeps_its_name() -> None:
    found = check_together([other("b.yaml", "shop", "/b"), other("a.yaml", "shop", "/a")])
    assert list(found) == ["b.yaml"]
    (problem,) = found["b.yaml"]
    assert (problem.code, problem.severity, problem.line, problem.column) == (
        "duplicate-document",
        Severity.ERROR,
        1,
        7,
    )
    assert "a.yaml" in problem.message


def test_the_same_name_in_another_tenant_is_another_document() -> None:
    assert check_together([other("a.yaml", "shop", "/a"), other("b.yaml", "shop", "/b", tenant="two")]) == {}


def test_prefixes_are_unique_over_all_tenants() -> None:
    found = check_together([other("a.yaml", "one", "/x"), other("b.yaml", "two", "/y", "/x", tenant="two")])
    (problem,) = found["b.yaml"]
    assert (problem.code, problem.pointer, problem.line) == ("duplicate-prefix", "/routers/1/prefix", 4)
    assert "a.yaml" in problem.message


def test_a_document_that_loses_takes_nothing_from_others() -> None:
    first, loser, third = other("a.yaml", "a", "/x"), other("b.yaml", "b", "/x", "/y"), other("c.yaml", "c", "/y")
    assert list(check_together([third, loser, first])) == ["b.yaml"]


def test_documents_that_are_not_served_take_nothing() -> None:
    broken = check("name: a\nservers: [{name: s}]\nrouters: [{prefix: /x, server: t}]", "a.yaml")
    assert broken.document is None
    assert check_together([broken, other("b.yaml", "a", "/x")]) == {}


def test_the_report_has_a_line_for_every_problem_and_a_summary(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("name: a\nservers: [{name: s}]\nrouters: [{prefix: /x, server: s}]\n")
    (tmp_path / "b.json").write_text(
        '{"name": "b", "servers": [{"name": "s"}], "routers": [{"prefix": "/x", "server": "s"}]}'
    )
    (tmp_path / "c.yml").write_text("name: c\ncolour: red\n")
    (tmp_path / ".hidden.yaml").write_text("broken: [")
    (tmp_path / "notes.txt").write_text("not a document")
    report = check_paths([tmp_path])
    assert report.exit_code == 1
    assert report.lines[-1] == "3 documents, 2 errors"
    assert report.lines[0].startswith(f"{tmp_path}/b.json:1:66: error: the prefix")
    assert report.lines[1].startswith(f"{tmp_path}/c.yml:2:1: error: there is no field")


def test_the_report_of_good_documents_says_so(tmp_path: Path) -> None:
    file = tmp_path / "a.yaml"
    file.write_text(GOOD)
    assert check_paths([file, file]).lines == ("1 document: all good",)
    assert check_paths([file]).exit_code == 0


def test_the_report_names_what_cannot_be_read(tmp_path: Path) -> None:
    report = check_paths([tmp_path / "gone.yaml", tmp_path])
    assert report.exit_code == 1
    assert any("gone.yaml:1:1: error: it cannot be read: No such file" in line for line in report.lines)
    assert any("holds no *.yaml" in line for line in report.lines)


def test_arguments_of_a_body_beside_a_file_become_fields_of_the_multipart() -> None:
    text = (
        "version: 1\nname: d\ntools:\n- name: t\n  args:\n"
        "  - {name: caption, in: body, type: string}\n"
        "  - {name: file, in: multipart, type: string, contentEncoding: base64}\n"
        "  request: {url: http://h/, method: POST}\n"
    )
    assert not [problem for problem in check(text, "d.yaml").problems if problem.severity == "error"]
