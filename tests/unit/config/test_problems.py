"""Every kind of problem: a document that has it, and the place where it must be shown (before the mark ¦)."""

import pytest

from portico.config.check import Checked, check
from portico.config.problem import Severity

HEAD = "version: 1\nname: shop\n"
TOOL = HEAD + "tools:\n- name: get\n"
PROMPT = HEAD + "prompts:\n- name: greet\n  arguments: [{name: who}]\n  messages:\n  - role: user\n    content: "
CONTENT = TOOL + "  request: {url: http://h/}\n  response:\n    content:\n    - "
SCHEMA = TOOL + "  request: {url: http://h/}\n  inputSchema:\n    type: object\n    properties:\n      a: "
ARG = TOOL + "  request: {url: http://h/, method: POST}\n  args:\n  - "
ROUTER = HEAD + "servers: [{name: all}]\nrouters:\n- server: all\n  prefix: "

KEYED = ROUTER + f"/a\n  auth:\n    mode: apiKey\n    keys:\n    - {{name: a, hash: '{'0' * 64}'}}\n    "
JWT = ROUTER + "/a\n  auth: {mode: jwt, issuer: 'https://i.example', jwks: 'https://i.example/k', audience: a"

BACKED = TOOL + "  request: {url: 'http://h/{b}'}\n  args: [{name: b, in: path, required: true}]\nresources: "
BACKED += "[{name: a, tool: get, uriTemplate: "

SERVERS = HEAD + "mcpServers: {notes: {command: x}, tracker: {command: x}}\n"
INCLUDE = SERVERS + "servers:\n- name: a\n  include:\n  - {mcpServer: notes, "

ERRORS = {
    # Reading.
    "syntax": [HEAD + "values: {a: 1 ¦]"],
    "duplicate-key": [HEAD + "¦name: again\n"],
    "merge-key": [HEAD + "values:\n  ¦<<: {a: 1}\n"],
    "tag": [HEAD + "values: {a: ¦!!int 3}\n", HEAD + "values: ¦!thing {a: 1}\n"],
    "key-not-text": [TOOL + "  request: {url: {¦{ values.base }}/x}\n", HEAD + "values: {? ¦[a] : 1}\n"],
    "unknown-alias": [HEAD + "values: {a: ¦*b}\n"],
    "recursive-alias": [HEAD + "values: &a {b: ¦*a}\n"],
    "several-documents": [HEAD + "¦---\nname: b\n"],
    "forbidden-character": [HEAD + "values: {a: 'x¦\x07'}\n", HEAD + "values: {a: 'x¦\u2028'}\n"],
    "empty": ["¦", "¦# nothing\n"],
    "number-out-of-range": [
        HEAD + "values: {a: ¦1e999}\n",
        HEAD + f"values: {{a: ¦{2**64}}}\n",
        HEAD + "values: {a: ¦.nan}\n",
    ],
    "too-deep": [HEAD + "values: {a: " + "[" * 48 + "¦[]" + "]" * 48 + "}"],
    # Shape.
    "missing-field": ["¦version: 1\n", TOOL.replace("name: get", "¦name: get")],
    "unknown-field": [HEAD + "¦tolls: []\n", TOOL + "  request:\n    url: http://h/\n    ¦metod: GET\n"],
    "wrong-type": [
        HEAD + "description: ¦3\n",
        HEAD + "tools: ¦{}\n",
        HEAD + "tools:¦\n",
        HEAD + "servers: [¦a]\n",
        ARG + "{name: a, in: query, required: ¦yes}\n",
    ],
    "not-one-of": [ARG + "{name: a, in: ¦quary}\n", TOOL + "  request: {url: http://h/, method: ¦get}\n"],
    "illegal-name": ["version: 1\nname: ¦Shop\n"],
    "illegal-tool-name": [HEAD + "tools:\n- name: ¦get it\n  request: {url: http://h/}\n"],
    "illegal-prefix": [ROUTER + "¦users/\n", ROUTER + "¦/a/../b\n"],
    "bad-value": [
        TOOL + "  request: {url: http://h/, timeout: ¦soon}\n",
        TOOL + "  request: {url: http://h/, timeout: ¦-1}\n",
        HEAD + "servers: [{name: a, tools: ¦[x, x]}]\n",
        INCLUDE + "prefix: ¦'n.'}\n",
        INCLUDE + "override: {find: {name: ¦'look at'}}}\n",
    ],
    # Names and references.
    "duplicate-name": [
        HEAD + "servers:\n- name: a\n- name: ¦a\n",
        TOOL + "  request: {url: http://h/}\n- name: ¦get\n  request: {url: http://h/}\n",
        HEAD + "resources:\n- {name: a, uri: 'a:b', text: x}\n- {name: b, uri: ¦'a:b', text: x}\n",
        ARG + "{name: a, in: query}\n  - {name: ¦a, in: query}\n",
        PROMPT.replace("[{name: who}]", "[{name: a}, {name: ¦a}]") + "{type: text, text: x}\n",
    ],
    "duplicate-prefix": [ROUTER + "/a\n- server: all\n  prefix: ¦/a\n"],
    "reserved-prefix": [ROUTER + "¦/livez\n", ROUTER + "¦/api/x\n"],
    "prefix-ends-in-suffix": [ROUTER + "¦/users/mcp\n", ROUTER + "¦/sse\n"],
    "unknown-server": [HEAD + "servers: [{name: users}]\nrouters: [{prefix: /a, server: ¦user}]\n"],
    "unknown-tool": [
        HEAD + "servers: [{name: a, tools: [¦get]}]\n",
        HEAD + "resources: [{name: a, uriTemplate: 'a:{b}', tool: ¦get}]\n",
    ],
    "unknown-prompt": [HEAD + "servers: [{name: a, prompts: [¦hi]}]\n"],
    "unknown-resource": [HEAD + "servers: [{name: a, resources: [¦'a:b']}]\n"],
    "unknown-mcp-server": [
        SERVERS + "servers: [{name: a, include: [{mcpServer: ¦note}]}]\n",
        HEAD + "servers: [{name: a, include: [{mcpServer: ¦notes}]}]\n",
    ],
    "override-without-prefix": [INCLUDE + "prefix: n_, override: {¦find: {name: look}}}\n"],
    "name-collision": [
        INCLUDE + "override: {find: {name: ¦get}}}\ntools: [{name: get, request: {url: http://h/}}]\n",
        INCLUDE + "override: {find: {name: look}, seek: {name: ¦look}}}\n",
        INCLUDE + "override: {find: {name: look}}}\n  - {mcpServer: tracker, override: {seek: {name: ¦look}}}\n",
    ],
    # Routers.
    "auth-mode-not-built": [ROUTER + "/a\n  auth: {mode: ¦magic}\n"],
    "auth-field-of-another-mode": [
        ROUTER + "/a\n  auth: {mode: none, ¦keys: []}\n",
        ROUTER + "/a\n  auth: {¦issuer: 'https://i.example'}\n",
        ROUTER + "/a\n  auth: {mode: apiKey, ¦jwks: 'https://i.example/k'}\n",
        JWT + ", ¦keys: []}\n",
    ],
    "bad-key-hash": [
        ROUTER + "/a\n  auth: {mode: apiKey, keys: [{name: a, hash: ¦abc}]}\n",
        ROUTER + f"/a\n  auth: {{mode: apiKey, keys: [{{name: a, hash: ¦pk_{'x' * 43}}}]}}\n",
        ROUTER + f"/a\n  auth: {{mode: apiKey, keys: [{{name: a, hash: ¦{'A' * 64}}}]}}\n",
    ],
    "duplicate-key-name": [KEYED + f"- {{name: ¦a, hash: '{'1' * 64}'}}\n"],
    "duplicate-key-hash": [KEYED + f"- {{name: b, hash: ¦'{'0' * 64}'}}\n"],
    "jwt-without-issuer": [ROUTER + "/a\n  ¦auth: {mode: jwt, jwks: 'https://i.example/k', audience: a}\n"],
    "jwt-without-jwks": [ROUTER + "/a\n  ¦auth: {mode: jwt, issuer: 'https://i.example', audience: a}\n"],
    "jwt-without-audience": [
        ROUTER + "/a\n  ¦auth: {mode: jwt, issuer: 'https://i.example', jwks: 'https://i.example/k'}\n",
        ROUTER + "/a\n  auth: {mode: jwt, issuer: 'https://i.example', jwks: 'https://i.example/k', audience: ¦''}\n",
    ],
    "plain-http-issuer": [
        ROUTER + "/a\n  auth: {mode: jwt, issuer: 'https://i.example', jwks: ¦'http://i.example/k', audience: a}\n",
        ROUTER + "/a\n  auth: {mode: jwt, issuer: ¦'http://i.example', jwks: 'http://localhost/k', audience: a}\n",
    ],
    "scope-that-denies": [JWT + ", scopes: {read: [¦'!get']}}\n"],
    "credentials-for-all-origins": [ROUTER + "/a\n  cors: {allowOrigins: ['*'], allowCredentials: ¦true}\n"],
    "bad-origin": [ROUTER + "/a\n  cors: {allowOrigins: [¦'https://a.example/']}\n"],
    # Templates.
    "bad-template": [
        TOOL + "  request: {url: 'http://h/', body: {a: '{{ args. ¦}}'}}\n",
        TOOL + "  request: {url: 'http://h/', headers: {X-A: '{{ ¦nothing.x }}'}}\n",
        TOOL + "  request: {url: 'http://h/'}\n  response: {body: {a: '{{ ¦secrets.T }}'}}\n",
        TOOL + "  request: {url: 'http://h/', body: '{{ ¦response.json }}'}\n",
        PROMPT + "{type: text, text: 'x {{ ¦request.headers.a }}'}\n",
        TOOL + "  request: {url: 'http://h/', proxy: 'http://{{ ¦args.a }}/'}\n",
        TOOL + "  request: {url: 'http://h/', headers: {X-A: '{{ ¦request.header.a }}'}}\n",
        TOOL + "  request: {url: 'http://h/'}\n  response: {body: {a: '{{ ¦response.jason }}'}}\n",
        TOOL + "  args: [{name: h, in: path, required: true}]\n  request: {url: 'http://{{ ¦args.h }}/'}\n",
    ],
    "unknown-argument": [
        TOOL + "  request: {url: 'http://h/', query: {q: 'a{{ ¦args.nme }}'}}\n",
        TOOL + "  request: {url: 'http://h/¦{id}'}\n",
        TOOL + '  request:\n    url: http://h/\n    body: |\n      {"a":\n        {{ ¦args.x }}}\n',
        TOOL + "  request: {url: 'http://h/', multipart: {a: 'x {{ ¦args.f }}'}}\n",
        PROMPT + "{type: text, text: 'x {{ ¦args.whom }}'}\n",
        HEAD
        + "tools: [{name: get, request: {url: 'http://h/'}}]\n"
        + "resources: [{name: a, uriTemplate: 'a:¦{b}', tool: get}]\n",
    ],
    "unknown-value": [HEAD + "values: {base: x}\ntools: [{name: a, request: {url: '{{ ¦values.bse }}/'}}]\n"],
    # Requests.
    "bad-url": [
        TOOL + "  request: {url: ¦ftp://h/}\n",
        TOOL + "  request: {url: ¦'http:///x'}\n",
        TOOL + "  request: {url: ¦'http://h/a b'}\n",
        TOOL + "  request: {url: ¦'http://h:99999/'}\n",
        HEAD + "values: {base: h}\ntools: [{name: a, request: {url: ¦'{{ values.base }}/'}}]\n",
        TOOL + "  request: {url: http://h/, proxy: ¦socks4://h}\n",
    ],
    "credentials-in-url": [TOOL + "  request: {url: ¦'http://me:pw@h/'}\n"],
    "bad-header-name": [
        TOOL + "  request: {url: http://h/, headers: {¦'a b': x}}\n",
        ARG + "{name: ¦'a:b', in: header}\n",
    ],
    "forbidden-header": [
        TOOL + "  request: {url: http://h/, headers: {¦Host: x}}\n",
        TOOL + "  request: {url: http://h/, headers: {¦mcp-session-id: x}}\n",
        ARG + "{name: a, as: ¦Content-Length, in: header}\n",
    ],
    "bad-header-value": [TOOL + '  request: {url: http://h/, headers: {A: ¦"x\\ny"}}\n'],
    "duplicate-header": [TOOL + "  request: {url: http://h/, headers: {A: x, ¦a: y}}\n"],
    "bad-cookie-name": [
        TOOL + "  request: {url: http://h/, cookies: {¦'a;b': x}}\n",
        ARG + "{name: ¦'a=b', in: cookie}\n",
    ],
    "mixed-bodies": [
        ARG + "{name: a, in: body}\n  - {name: b, in: ¦form}\n",
        TOOL + "  request: {url: http://h/, method: POST, body: {a: 1}, form: ¦{b: 1}}\n",
    ],
    "path-argument-without-place": [ARG + "{name: id, in: ¦path, required: true}\n"],
    "duplicate-parameter": [ARG + "{name: a, in: query}\n  - {name: b, as: ¦a, in: query}\n"],
    # Schemas.
    "args-and-input-schema": [TOOL + "  request: {url: http://h/}\n  args: []\n  ¦inputSchema: {type: object}\n"],
    "input-schema-not-object": [TOOL + "  request: {url: http://h/}\n  inputSchema: ¦{type: string}\n"],
    "bad-schema": [
        ARG + "{name: a, in: query, type: ¦strin}\n",
        ARG + "{name: a, in: query, pattern: ¦'('}\n",
        SCHEMA + "{$ref: ¦'#/$defs/b'}\n",
        TOOL + "  request: {url: http://h/}\n  response: {outputSchema: {type: object, required: ¦a}}\n",
    ],
    "bad-default": [
        ARG + "{name: a, in: query, type: integer, default: ¦x}\n",
        ARG + "{name: a, in: query, type: string, format: email, default: ¦x}\n",
    ],
    "external-reference": [
        SCHEMA + "{$ref: ¦'http://127.0.0.1:1/s.json'}\n",
        SCHEMA + "{items: {$ref: ¦'file:///etc/passwd'}}\n",
    ],
    "unknown-dialect": [SCHEMA + "{$schema: ¦'http://s.example/'}\n"],
    "nested-id": [SCHEMA + "{¦$id: 'http://s.example/'}\n"],
    "bad-mirrored-header": [
        SCHEMA + "{type: string, x-mcp-header: ¦'a b'}\n",
        SCHEMA + "{type: string, x-mcp-header: ¦''}\n",
        SCHEMA + "{type: number, x-mcp-header: ¦A}\n",
        SCHEMA + "{type: array, items: {type: string, x-mcp-header: ¦A}}\n",
        SCHEMA + "{anyOf: [{type: string, x-mcp-header: ¦A}]}\n",
        SCHEMA + "{type: integer, maximum: 9007199254740992, x-mcp-header: ¦A}\n",
    ],
    "duplicate-mirrored-header": [
        SCHEMA + "{type: string, x-mcp-header: A}\n      b: {type: string, x-mcp-header: ¦a}\n"
    ],
    # Answers, prompts and resources.
    "bad-select": [
        TOOL + "  request: {url: http://h/}\n  response: {select: 'a.[¦'}\n",
        TOOL + "  request: {url: http://h/}\n  response: {select: ¦'" + "(" * 3000 + "'}\n",
    ],
    "body-and-content": [TOOL + "  request: {url: http://h/}\n  response: {body: {a: 1}, ¦content: []}\n"],
    "bad-content-block": [
        CONTENT + "{type: ¦txt, text: x}\n",
        CONTENT + "¦{text: x}\n",
        CONTENT + "¦{type: text}\n",
        CONTENT + "¦{type: image, data: aGk=}\n",
        CONTENT + "{type: resource, resource: ¦{uri: 'a:b'}}\n",
        CONTENT + "¦{type: resource_link, uri: 'a:b'}\n",
        PROMPT + "¦{type: text}\n",
        CONTENT + "{type: text, text: ¦3}\n",
    ],
    "bad-base64": [
        CONTENT + "{type: audio, mimeType: audio/wav, data: ¦'?'}\n",
        HEAD + "resources: [{name: a, uri: 'a:b', blob: ¦'a'}]\n",
    ],
    "bad-icon": [HEAD + "servers: [{name: a, icons: [{src: ¦'http://h/i.png'}]}]\n"],
    "resource-address": [
        HEAD + "resources: [¦{name: a, text: x}]\n",
        BACKED.replace("uriT", "¦uriT") + "'a:{b}', uri: 'a:b'}]\n",
    ],
    "resource-content": [
        HEAD + "resources: [¦{name: a, uri: 'a:b'}]\n",
        HEAD + "resources: [{name: a, uri: 'a:b', text: x, ¦blob: aGk=}]\n",
    ],
    "template-without-tool": [HEAD + "resources: [{name: a, text: x, ¦uriTemplate: 'a:{b}'}]\n"],
    "bad-uri": [
        HEAD + "resources: [{name: a, uri: ¦guide, text: x}]\n",
        BACKED + "'a:¦{?b}'}]\n",
        BACKED + "¦'{b}'}]\n",
    ],
}

WARNINGS = {
    "pattern-never-matches": [INCLUDE + "tools: [¦find_code, '!find_*']}\n", INCLUDE + "resources: [¦'a:b', '!*']}\n"],
    "override-never-used": [INCLUDE + "prefix: n_, tools: [find], prompts: [], override: {¦n_seek: {title: x}}}\n"],
    "included-twice": [INCLUDE + "prefix: n_}\n  - {mcpServer: ¦notes, prefix: n_}\n"],
    "key-expired": [KEYED.replace("}\n    ", ", expires: ¦'2020-01-01'}\n")],
    "leading-zeros": [HEAD + "values: {zip: ¦01234}\n"],
    "unknown-keyword": [ARG + "{name: a, in: query, ¦defualt: x}\n"],
    "output-schema-not-object": [TOOL + "  request: {url: http://h/}\n  response: {outputSchema: ¦{type: array}}\n"],
    "unknown-secret": [TOOL + "  request: {url: http://h/, headers: {A: 'Bearer {{ ¦secrets.NOPE }}'}}\n"],
    "forwards-credential": [
        TOOL + "  request: {url: http://h/, headers: {A: '{{ ¦request.headers.authorization }}'}}\n",
        TOOL + "  request: {url: http://h/, headers: {A: '{{ ¦request.cookies.session }}'}}\n",
        TOOL + "  request: {url: http://h/, body: {a: '{{ ¦request.cookies.sid }}'}, method: POST}\n",
    ],
    "body-on-get": [
        TOOL + "  request: {url: http://h/, body: ¦{a: 1}}\n",
        ARG.replace("POST", "HEAD") + "{name: a, in: ¦body}\n",
    ],
    "optional-path-argument": [TOOL + "  request: {url: 'http://h/{a}'}\n  args:\n  - ¦{name: a, in: path}\n"],
    "unused-argument": [
        ARG + "{name: ¦a}\n",
        TOOL + "  request: {url: http://h/, method: POST, body: {x: 1}}\n  args: [{name: ¦a, in: body}]\n",
    ],
    "byte-order-mark": ["\ufeff¦" + HEAD],
}

NOTES = {
    "unused-tool": [TOOL.replace("get", "¦get") + "  request: {url: http://h/}\nservers: [{name: a, tools: []}]\n"],
    "unused-prompt": [PROMPT.replace("greet", "¦greet") + "{type: text, text: x}\nservers: [{name: a, prompts: []}]\n"],
    "unused-resource": [HEAD + "servers: [{name: a, resources: []}]\nresources: [{name: b, uri: ¦'a:b', text: x}]\n"],
    "unused-server": [HEAD + "servers: [{name: ¦a}]\n"],
}

ROWS = [
    pytest.param(severity, code, text, id=f"{code}-{number}")
    for severity, table in ((Severity.ERROR, ERRORS), (Severity.WARNING, WARNINGS), (Severity.NOTE, NOTES))
    for code, texts in table.items()
    for number, text in enumerate(texts)
]


def judged(marked: str) -> tuple[Checked, int, int]:
    """What check says, and the line and column of the mark."""
    before, mark, after = marked.partition("¦")
    assert mark, "the row has no mark"
    checked = check(before + after, "shop.yaml", secrets=frozenset({"TOKEN"}))
    before = before.removeprefix("\ufeff")
    return checked, before.count("\n") + 1, len(before) - (before.rfind("\n") + 1) + 1


@pytest.mark.parametrize(("severity", "code", "text"), ROWS)
def test_the_problem_is_found_at_its_place(severity: Severity, code: str, text: str) -> None:
    checked, line, column = judged(text)
    found = {(p.code, p.severity, p.line, p.column) for p in checked.problems}
    assert (code, severity, line, column) in found, "\n".join(p.render() for p in checked.problems)
    assert (checked.document is None) == any(p.severity is Severity.ERROR for p in checked.problems)


@pytest.mark.parametrize(("severity", "code", "text"), ROWS)
def test_no_error_brings_others_with_it(severity: Severity, code: str, text: str) -> None:
    errors = {p.code for p in judged(text)[0].problems if p.severity is Severity.ERROR}
    assert errors <= {code}


@pytest.mark.parametrize(("severity", "code", "text"), ROWS)
def test_every_problem_says_how_to_mend_it(severity: Severity, code: str, text: str) -> None:
    for problem in judged(text)[0].problems:
        assert problem.mend.strip()
        assert problem.message.strip()
        assert not problem.message.endswith(".")
        assert problem.source == "shop.yaml"
        assert problem.render().startswith(f"shop.yaml:{problem.line}:{problem.column}: {problem.severity}: ")
        assert problem.render().endswith(f"[{problem.code}]")
        assert "\n" not in problem.render()
