"""Who may: every credential at every door and every method of an endpoint that asks for keys or for tokens."""

import json
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.fakes.gateway import LEGACY, Gateway, body, modern_body, modern_headers, running
from tests.fakes.http_wire import Reply
from tests.fakes.issuer import AUDIENCE, ISSUER, Issuer
from tests.fakes.rest import Answered

from portico.auth.keys import KeyRing
from portico.auth.principal import Principal
from portico.config.key import Key, key_hash, new_key
from portico.gateway.caller import known
from portico.gateway.exchange import Request

pytestmark = pytest.mark.anyio

KEYS = {
    name: new_key() for name in ("all", "other", "reader", "old", "foreign", "stored", "wide", "revoked", "elsewhere")
}
TOOLS = """
servers: [{name: SERVER, tools: [echo, number], cache: {scope: public}}]
tools:
  - name: echo
    args: [{name: word, in: query, type: string, default: hello}]
    request: {url: "REST/echo", headers: {X-Seen: "{{ request.headers.authorization | default('nothing') }}"}}
  - name: number
    request: {url: "REST/number"}
  - name: user
    args: [{name: id, in: path, type: integer, required: true, enum: [1, 12]}]
    request: {url: "REST/user/{{ args.id }}"}
prompts:
  - {name: welcome, arguments: [{name: name, enum: [Ada]}], messages: [{role: user, content: {type: text, text: hi}}]}
resources:
  - {uri: "users://guide", name: guide, text: "# Guide"}
  - {uri: "users://live", name: live, tool: number}
  - {uriTemplate: "users://user/{id}", name: user, tool: user}
"""
GUARDED = f"""
version: 1
name: guarded
routers:
  - prefix: /keyed
    server: guarded
    cors: {{allowOrigins: ["https://console.example.com"]}}
    auth:
      mode: apiKey
      keys:
        - {{name: all, hash: {key_hash(KEYS["all"])}}}
        - {{name: other, hash: {key_hash(KEYS["other"])}}}
        - {{name: reader, hash: {key_hash(KEYS["reader"])}, tools: [echo]}}
        - {{name: old, hash: {key_hash(KEYS["old"])}, expires: "2020-01-01"}}
  - prefix: /keyed/deeper
    server: guarded
  - prefix: /tokens
    server: guarded
    auth:
      mode: jwt
      issuer: {ISSUER}
      jwks: REST/keys
      audience: {AUDIENCE}
      algorithms: [RS256]
      leeway: 0
      scopes: {{all: ["*"], read: [echo]}}
  - prefix: /elliptic
    server: guarded
    auth: {{mode: jwt, issuer: {ISSUER}, jwks: REST/keys, audience: [{AUDIENCE}, "x"], algorithms: [ES256]}}
{TOOLS.replace("SERVER", "guarded").replace(", tools: [echo, number]", "")}
"""
FOREIGN = f"""
version: 1
name: foreign
tenant: foreign
routers:
  - prefix: /foreign
    server: foreign
    auth: {{mode: apiKey, keys: [{{name: all, hash: {key_hash(KEYS["foreign"])}}}]}}
{TOOLS.replace("SERVER", "foreign")}
"""
STORED = {
    "default": [
        Key("default", "stored", key_hash(KEYS["stored"]), endpoints=("/key*",)),
        Key("default", "wide", key_hash(KEYS["wide"])),
        Key("default", "revoked", key_hash(KEYS["revoked"]), revoked=True),
        Key("default", "elsewhere", key_hash(KEYS["elsewhere"]), endpoints=("/other",)),
    ]
}


class StoredKeys:
    def __init__(self, keys: Mapping[str, Sequence[Key]]) -> None:
        self.keys = keys

    async def read(self) -> Mapping[str, Sequence[Key]]:
        return self.keys

    async def revision(self) -> str:
        return str(hash(str(self.keys)))


@pytest.fixture(scope="module")
async def served(anyio_backend: str, ingress: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Gateway]:
    documents = {"guarded.yaml": GUARDED, "foreign.yaml": FOREIGN}
    async with running(tmp_path_factory.mktemp("documents"), documents, ingress=ingress) as gateway:
        gateway.worker.world.reloader._keys = StoredKeys(STORED)
        await gateway.reload()
        gateway.rest.answers["/keys"] = Answered(Issuer().document())
        yield gateway


@pytest.fixture
async def gateway(served: Gateway) -> AsyncIterator[Gateway]:
    yield served
    served.rest.forget()
    served.rest.answers["/keys"] = Answered(Issuer().document())


def bearer(credential: str) -> dict[str, str | None]:
    return {"Authorization": f"Bearer {credential}"}


# The table ------------------------------------------------------------------------------------------------------------

ISSUED = Issuer()
STRANGER = Issuer()
NOW = int(time.time())
HEAD, BODY, SIGNATURE = ISSUED.token().split(".")

ADMITTED: dict[str, tuple[str, dict[str, str | None]]] = {
    "a key": ("/keyed", bearer(KEYS["all"])),
    "a key under the other name": ("/keyed", {"X-API-Key": KEYS["all"]}),
    "a key beside another scheme": ("/keyed", {"X-API-Key": KEYS["all"], "Authorization": "Basic YTpi"}),
    "a key of the store": ("/keyed", bearer(KEYS["stored"])),
    "a key of the store for all endpoints": ("/keyed", bearer(KEYS["wide"])),
    "a token": ("/tokens", bearer(ISSUED.token())),
    "a token without a key id": ("/tokens", bearer(ISSUED.token(None, of="r1"))),
    "a token for several audiences": ("/tokens", bearer(ISSUED.token(aud=["x", AUDIENCE]))),
    "a token with a list of scopes": ("/tokens", bearer(ISSUED.token(scope=None, scp=["some", "all"]))),
    "an elliptic token": ("/elliptic", bearer(ISSUED.token("e1", "ES256", scope=None))),
}
LIMITED: dict[str, tuple[str, dict[str, str | None]]] = {
    "a limited key": ("/keyed", bearer(KEYS["reader"])),
    "a limited token": ("/tokens", bearer(ISSUED.token(scope="read other"))),
}
REFUSED: dict[str, tuple[str, dict[str, str | None]]] = {
    "no credential": ("/keyed", {}),
    "an empty credential": ("/keyed", {"Authorization": "Bearer "}),
    "an empty header": ("/keyed", {"X-API-Key": ""}),
    "an unknown key": ("/keyed", bearer(new_key())),
    "the hash of a key": ("/keyed", bearer(key_hash(KEYS["all"]))),
    "half a key": ("/keyed", bearer(KEYS["all"][:-1])),
    "two keys in one header": ("/keyed", bearer(f"{KEYS['all']},{KEYS['other']}")),
    "two different keys": ("/keyed", {**bearer(KEYS["all"]), "X-API-Key": KEYS["other"]}),
    "an expired key": ("/keyed", bearer(KEYS["old"])),
    "a revoked key": ("/keyed", bearer(KEYS["revoked"])),
    "a key of another tenant": ("/keyed", bearer(KEYS["foreign"])),
    "a key of another endpoint": ("/keyed", bearer(KEYS["elsewhere"])),
    "a key of the store at another tenant": ("/foreign", bearer(KEYS["wide"])),
    "a key as another scheme": ("/keyed", {"Authorization": f"Basic {KEYS['all']}"}),
    "a token where keys are asked for": ("/keyed", bearer(ISSUED.token())),
    "a key where tokens are asked for": ("/tokens", bearer(KEYS["all"])),
    "a key header where tokens are asked for": ("/tokens", {"X-API-Key": ISSUED.token()}),
    "no token": ("/tokens", {}),
    "garbage": ("/tokens", bearer("a.b.c")),
    "garbage of other letters": ("/tokens", bearer("\xe4\xf6.\xfc.\xdf")),
    "an expired token": ("/tokens", bearer(ISSUED.token(exp=NOW - 10))),
    "a token without an end": ("/tokens", bearer(ISSUED.token(exp=None))),
    "a token that is not valid yet": ("/tokens", bearer(ISSUED.token(nbf=NOW + 3600))),
    "a token for another audience": ("/tokens", bearer(ISSUED.token(aud="https://other.example.com"))),
    "a token for nobody": ("/tokens", bearer(ISSUED.token(aud=None))),
    "a token of another issuer": ("/tokens", bearer(ISSUED.token(iss="https://evil.example.com"))),
    "a token of no issuer": ("/tokens", bearer(ISSUED.token(iss=None))),
    "a token about nobody": ("/tokens", bearer(ISSUED.token(sub=None))),
    "a token about an empty name": ("/tokens", bearer(ISSUED.token(sub=""))),
    "a token about a forged line": ("/tokens", bearer(ISSUED.token(sub="ada\n{}"))),
    "a token of an unknown key": ("/tokens", bearer(ISSUED.token("r2"))),
    "a token of a key that lies": ("/tokens", bearer(ISSUED.token("r1", of="r2"))),
    "an unsigned token": ("/tokens", bearer(ISSUED.unsigned())),
    "a token without its signature": ("/tokens", bearer(f"{HEAD}.{BODY}.")),
    "a token with other claims": ("/tokens", bearer(f"{HEAD}.{ISSUED.token(sub='root').split('.')[1]}.{SIGNATURE}")),
    "a token signed with the public key": ("/tokens", bearer(ISSUED.signed_with_the_public_key())),
    "an elliptic token where RSA is asked for": ("/tokens", bearer(ISSUED.token("e1", "ES256"))),
    "an RSA token where elliptic is asked for": ("/elliptic", bearer(ISSUED.token())),
    "a token of another key kind": ("/elliptic", bearer(ISSUED.token("e1", "RS256", of="r1"))),
    "a token that is too long": ("/tokens", bearer(ISSUED.token(pad="x" * 20_000))),
}
FORBIDDEN: dict[str, tuple[str, dict[str, str | None]]] = {
    "a token without a scope": ("/tokens", bearer(ISSUED.token(scope=None))),
    "a token of other scopes": ("/tokens", bearer(ISSUED.token(scope="allx"))),
}
CALLS: dict[str, tuple[str, dict[str, Any]]] = {
    "tools list": ("tools/list", {}),
    "call": ("tools/call", {"name": "number"}),
    "prompts list": ("prompts/list", {}),
    "prompt": ("prompts/get", {"name": "welcome"}),
    "resources list": ("resources/list", {}),
    "resource": ("resources/read", {"uri": "users://guide"}),
    "templates list": ("resources/templates/list", {}),
    "completion": (
        "completion/complete",
        {"ref": {"type": "ref/prompt", "name": "welcome"}, "argument": {"name": "name", "value": ""}},
    ),
    "discovery": ("server/discover", {}),
}


@pytest.mark.parametrize("who", ADMITTED)
async def test_who_may_is_answered_everywhere(who: str, gateway: Gateway) -> None:
    path, headers = ADMITTED[who]
    for method, params in CALLS.values():
        reply = await gateway.modern(method, params, path=path, headers=headers)
        assert reply.status == 200, (method, reply.text)
    for _ in range(3):  # The third takes the short way.
        reply = await gateway.modern("tools/call", CALLS["call"][1], path=path, headers=headers)
        assert not reply.result["isError"]
    identifier = await opened(gateway, path, headers)
    session = {**headers, "Mcp-Session-Id": identifier, "MCP-Protocol-Version": LEGACY}
    for _ in range(3):
        reply = await gateway.send("POST", f"{path}/mcp", session, body("tools/call", {"name": "number"}))
        assert reply.status == 200, reply.text
    assert (await gateway.send("DELETE", f"{path}/mcp", session)).status == 204
    wire, _ = await gateway.stream("GET", f"{path}/sse", headers)
    wire.abort()


@pytest.mark.parametrize("who", REFUSED | FORBIDDEN)
async def test_who_may_not_is_refused_everywhere(who: str, gateway: Gateway) -> None:
    path, headers = (REFUSED | FORBIDDEN)[who]
    status = 403 if who in FORBIDDEN else 401
    replies = [await gateway.modern(method, params, path=path, headers=headers) for method, params in CALLS.values()]
    initialize = {"protocolVersion": LEGACY, "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}}
    replies += [await gateway.send("POST", f"{path}/mcp", headers, body("initialize", initialize))]
    replies += [await gateway.send("POST", f"{path}/mcp", headers, b"[" + body("ping") + b"]")]
    replies += [await gateway.send("POST", f"{path}/mcp", headers, b"nonsense")]
    replies += [await gateway.send("POST", f"{path}/mcp/", headers, body("ping"))]
    replies += [await gateway.send(method, f"{path}/mcp", headers) for method in ("GET", "DELETE", "PUT")]
    replies += [await gateway.send("GET", f"{path}/sse", headers)]
    replies += [await gateway.send("POST", f"{path}/message?sessionId=x", headers, body("ping"))]
    for reply in replies:
        assert reply.status == status, reply.text
        assert reply.headers["www-authenticate"].startswith("Bearer ")
        assert reply.json["error"]["code"] == -32003
        assert reply.json["id"] is None
    assert len(gateway.worker.world.sessions) == 0
    assert len(gateway.worker.world.streams) == 0
    assert all(seen.target == "/keys" for seen in gateway.rest.requests)


@pytest.mark.parametrize("who", LIMITED)
async def test_who_is_limited_sees_nothing_else(who: str, gateway: Gateway) -> None:
    path, headers = LIMITED[who]

    async def ask(method: str, params: dict[str, Any] | None = None) -> Reply:
        return await gateway.modern(method, params, path=path, headers=headers)

    listed = (await ask("tools/list")).result
    assert [tool["name"] for tool in listed["tools"]] == ["echo"]
    assert listed["cacheScope"] == "private"
    assert set((await ask("server/discover")).result["capabilities"]) == {"tools", "logging"}
    assert (await ask("prompts/list")).result["prompts"] == []
    assert (await ask("resources/list")).result["resources"] == []
    assert (await ask("resources/templates/list")).result["resourceTemplates"] == []
    for _ in range(3):
        assert not (await ask("tools/call", {"name": "echo"})).result["isError"]
    for name in ("number", "user"):
        for _ in range(3):
            hidden, missing = await ask("tools/call", {"name": name}), await ask("tools/call", {"name": "nobodys"})
            assert hidden.error["message"] == f"Unknown tool: {name}."
            assert missing.error["message"] == "Unknown tool: nobodys."
            assert hidden.status == missing.status
    for method, params in (
        ("prompts/get", {"name": "welcome"}),
        ("resources/read", {"uri": "users://guide"}),
        ("resources/read", {"uri": "users://live"}),
        ("resources/read", {"uri": "users://user/1"}),
        ("completion/complete", CALLS["completion"][1]),
    ):
        assert "error" in (await ask(method, params)).json, method
    identifier = await opened(gateway, path, headers)
    session = {**headers, "Mcp-Session-Id": identifier, "MCP-Protocol-Version": LEGACY}
    for _ in range(3):
        raw = body("tools/call", {"name": "number"})
        assert "error" in (await gateway.send("POST", f"{path}/mcp", session, raw)).json
    assert (await gateway.send("DELETE", f"{path}/mcp", session)).status == 204
    assert {seen.target.partition("?")[0] for seen in gateway.rest.requests} <= {"/echo", "/keys"}


async def opened(gateway: Gateway, path: str, headers: Mapping[str, str | None]) -> str:
    params = {"protocolVersion": LEGACY, "capabilities": {}, "clientInfo": {"name": "test", "version": "1"}}
    reply = await gateway.send("POST", f"{path}/mcp", headers, body("initialize", params))
    assert reply.status == 200, reply.text
    return reply.headers["mcp-session-id"]


# Sessions -------------------------------------------------------------------------------------------------------------


async def test_a_session_opened_by_one_principal_is_no_session_of_another_on_any_verb(gateway: Gateway) -> None:
    mine, theirs = bearer(KEYS["all"]), bearer(KEYS["other"])
    identifier = await opened(gateway, "/keyed", mine)
    wire, _ = await gateway.stream("GET", "/keyed/sse", mine)
    announced = await wire.event()
    assert announced is not None
    call = body("tools/call", {"name": "number"})
    for name in (identifier, "missing"):
        session = {**theirs, "Mcp-Session-Id": name, "MCP-Protocol-Version": LEGACY}
        replies = [await gateway.send("POST", "/keyed/mcp", session, call) for _ in range(3)]
        replies += [await gateway.send("POST", "/keyed/mcp", session, b"[" + call + b"]")]
        replies += [
            await gateway.send("GET", "/keyed/mcp", session),
            await gateway.send("DELETE", "/keyed/mcp", session),
        ]
        for reply in replies:
            assert reply.status == 404
            assert reply.error["message"] == "Session not found: it has ended or expired. Send initialize again."
    for target in (announced.data, "/keyed/message?sessionId=missing"):
        assert (await gateway.send("POST", target, theirs, call)).status == 404
    assert (await gateway.send("POST", announced.data, mine, call)).status == 202
    own = {**mine, "Mcp-Session-Id": identifier, "MCP-Protocol-Version": LEGACY}
    assert (await gateway.send("POST", "/keyed/mcp", own, call)).status == 200
    assert (await gateway.send("DELETE", "/keyed/mcp", own)).status == 204
    wire.abort()


async def test_two_connections_with_heads_alike_but_for_the_key_are_two_callers(gateway: Gateway) -> None:
    """Where heads are remembered, the credential has to be a part of what is remembered."""
    params = {"name": "number"}
    raw = modern_body("tools/call", params)
    for _ in range(4):
        outcomes = {}
        for who in ("all", "reader", "old"):
            headers = modern_headers("tools/call", params) | bearer(KEYS[who])
            outcomes[who] = await gateway.send("POST", "/keyed/mcp", headers, raw)
        assert outcomes["all"].status == 200
        assert "error" in outcomes["reader"].json
        assert outcomes["old"].status == 401


# What a stranger is told ----------------------------------------------------------------------------------------------


async def test_a_stranger_is_told_whose_tokens_open_the_endpoint(gateway: Gateway) -> None:
    reply = await gateway.modern("tools/list", path="/tokens")
    where = f"{gateway.url}/.well-known/oauth-protected-resource/tokens/mcp"
    assert f'resource_metadata="{where}"' in reply.headers["www-authenticate"]
    assert 'scope="all read"' in reply.headers["www-authenticate"]
    assert ISSUER in reply.error["message"]
    found = await gateway.send("GET", "/.well-known/oauth-protected-resource/tokens/mcp")
    assert found.json == {
        "resource": AUDIENCE,
        "resource_name": "guarded",
        "authorization_servers": [ISSUER],
        "bearer_methods_supported": ["header"],
        "scopes_supported": ["all", "read"],
    }
    forbidden = await gateway.modern("tools/list", path="/tokens", headers=FORBIDDEN["a token of other scopes"][1])
    assert 'error="insufficient_scope"' in forbidden.headers["www-authenticate"]
    assert 'scope="all read"' in forbidden.headers["www-authenticate"]
    expired = await gateway.modern("tools/list", path="/tokens", headers=REFUSED["an expired token"][1])
    assert 'error="invalid_token"' in expired.headers["www-authenticate"]
    assert (await gateway.send("GET", "/.well-known/oauth-protected-resource/keyed/mcp")).status == 404


async def test_a_page_may_read_how_to_get_in(gateway: Gateway) -> None:
    origin = {"Origin": "https://console.example.com"}
    reply = await gateway.modern("tools/list", path="/keyed", headers=origin)
    assert reply.status == 401
    assert reply.headers["access-control-allow-origin"] == origin["Origin"]
    assert "WWW-Authenticate" in reply.headers["access-control-expose-headers"]
    assert (await gateway.send("OPTIONS", "/keyed/mcp", origin)).status == 204


async def test_the_page_for_browsers_says_what_is_needed_and_shows_no_tools(gateway: Gateway) -> None:
    for target in ("/keyed", "/keyed/mcp", "/tokens/sse"):
        reply = await gateway.send("GET", target, {"Accept": "text/html"})
        assert reply.status == 200
        assert "Who may" in reply.text
        assert not any(word in reply.text for word in ("number", "echo", "1 prompts", "Offers"))


# Where credentials do not go ------------------------------------------------------------------------------------------


async def test_a_credential_goes_nowhere_but_to_the_judge(gateway: Gateway) -> None:
    for path, headers in (ADMITTED["a key"], ADMITTED["a key under the other name"], ADMITTED["a token"]):
        for _ in range(3):
            await gateway.modern("tools/call", {"name": "echo"}, path=path, headers=headers)
    await gateway.modern("tools/list", path="/keyed", headers=REFUSED["an unknown key"][1])
    sent = [json.dumps([seen.target, seen.headers, seen.body.decode()]) for seen in gateway.rest.requests]
    shown = json.dumps(gateway.lines()) + gateway.log() + "".join(sent)
    assert not any(key in shown for key in (*KEYS.values(), REFUSED["an unknown key"][1]["Authorization"]))
    assert BODY not in shown
    assert {seen.headers["x-seen"] for seen in gateway.rest.requests if seen.target != "/keys"} == {"nothing"}


async def test_a_credential_in_the_url_opens_nothing(gateway: Gateway) -> None:
    for name in ("key", "api_key", "access_token", "token", "authorization", "x-api-key"):
        reply = await gateway.send("POST", f"/keyed/mcp?{name}={KEYS['all']}", {}, body("ping"))
        assert reply.status == 401


async def test_the_log_names_who_called_by_the_name_of_the_key(gateway: Gateway) -> None:
    await gateway.modern("tools/call", {"name": "echo"}, path="/keyed", headers=bearer(KEYS["reader"]))
    await gateway.modern("tools/call", {"name": "echo"}, path="/tokens", headers=bearer(ISSUED.token()))
    assert [line["principal"] for line in gateway.lines()[-2:]] == ["reader", "ada"]


# Prefixes that overlap ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "target", ["/keyed/../keyed/deeper/mcp", "/keyed%2Fdeeper/mcp", "/keyed/deeper/..//mcp", "//keyed/mcp",
               "/KEYED/mcp", "/keyed/mcp%2f", "/keyed/mcp;x", "/keyed/./mcp",
               "/%6beyed/mcp", "/keyed/deeper/%2e%2e/mcp"]
)  # fmt: skip
async def test_no_other_spelling_of_a_path_leads_around_a_guard(target: str, gateway: Gateway) -> None:
    for headers in ({}, {"X-Original-URL": "/keyed/deeper/mcp", "X-Rewrite-URL": "/keyed/deeper/mcp"}):
        reply = await gateway.send("POST", target, headers, body("ping"))
        assert reply.status in (400, 401, 404), reply.text


async def test_an_open_endpoint_under_a_guarded_one_is_open_and_opens_nothing_else(gateway: Gateway) -> None:
    assert (await gateway.send("POST", "/keyed/deeper/mcp", {}, body("ping"))).status == 200
    identifier = await opened(gateway, "/keyed/deeper", {})
    session = {"Mcp-Session-Id": identifier, "MCP-Protocol-Version": LEGACY}
    assert (await gateway.send("POST", "/keyed/mcp", session, body("ping"))).status == 401
    reply = await gateway.send("POST", "/keyed/mcp", session | bearer(KEYS["all"]), body("ping"))
    assert reply.status == 404
    assert (await gateway.send("HEAD", "/keyed/mcp", {})).status == 401


# Anything at all ------------------------------------------------------------------------------------------------------

RING = KeyRing([Key("default", "a", key_hash(KEYS["all"])), Key("default", "b", key_hash(KEYS["old"]), expires=1.0)])


@given(st.binary(max_size=120), st.binary(max_size=120), st.sampled_from([b"", b"Bearer ", b"bearer  ", b"Basic "]))
def test_a_random_authorization_is_nobody(authorization: bytes, key: bytes, scheme: bytes) -> None:
    endpoint: Any = SimpleNamespace(guard=RING, prefix="/keyed", views={})
    for headers in ({b"authorization": scheme + authorization}, {b"x-api-key": key}):
        request = Request("POST", b"/keyed/mcp", b"", {b"host": b"h", **headers}, b"")
        assert known(request, endpoint) is None


def test_there_is_no_empty_principal() -> None:
    with pytest.raises(ValueError, match="has an id"):
        Principal("")
