"""An MCP server with everything in it, on the low-level server of the Python SDK.

    python everything_fixture.py http  PORT [--json] [--legacy-only|--modern-only]
    python everything_fixture.py sse   PORT          [--legacy-only|--modern-only]
    python everything_fixture.py stdio      [--legacy-only|--modern-only]

Written from the scenario contract of the official conformance suite: names and texts are the contract.
The era switches make it a pure pre-2026 or a pure 2026-07-28 upstream.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
from pathlib import Path
from typing import Any
from weakref import WeakSet

import anyio
import mcp.types as t
from mcp.server.caching import CacheHint
from mcp.server.lowlevel import Server
from mcp.server.request_state import RequestStateBoundary, RequestStateSecurity
from mcp.server.streamable_http import EventMessage, EventStore
from mcp.server.subscriptions import (
    InMemorySubscriptionBus,
    ListenHandler,
    PromptsListChanged,
    ResourceUpdated,
    ToolsListChanged,
)
from mcp.shared.exceptions import MCPError
from mcp.shared.message import SessionMessage
from mcp.shared.subscriptions import event_to_notification

PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg=="
WAV = "UklGRiQAAABXQVZFZm10IBAAAAABAAEAESsAACJWAAACABAAZGF0YQAAAAA="
OBJ: dict[str, Any] = {"type": "object", "properties": {}}


def obj(req=None, **props):
    return {"type": "object", "properties": props, **({"required": list(req)} if req else {})}


STR, BOOL = {"type": "string"}, {"type": "boolean"}


def text(s):
    return t.TextContent(type="text", text=s)


def image():
    return t.ImageContent(type="image", data=PNG, mime_type="image/png")


def embed(uri, mime, s):
    return t.EmbeddedResource(type="resource", resource=t.TextResourceContents(uri=uri, mime_type=mime, text=s))


def say(*blocks, **kw):
    return t.CallToolResult(content=[text(b) if isinstance(b, str) else b for b in blocks], **kw)


# ---- MRTR helpers -------------------------------------------------------------------------------------------------
def ask(message, **props):
    return t.ElicitRequest(params=t.ElicitRequestFormParams(message=message, requested_schema=obj(props, **props)))


def sample(prompt, n):
    return t.CreateMessageRequest(
        params=t.CreateMessageRequestParams(
            messages=[t.SamplingMessage(role="user", content=text(prompt))], max_tokens=n
        )
    )


def need(state=None, **reqs):
    return t.InputRequiredResult(input_requests=reqs or None, request_state=state)


def answered(params, *keys):
    got = params.input_responses or {}
    return [got[k] for k in keys] if all(k in got for k in keys) else None


def field(ans, key):
    return (getattr(ans, "content", None) or {}).get(key) if isinstance(ans, t.ElicitResult) else None


# ---- user input, in the way of the era that the connection speaks -------------------------------------------------
# Every tool that wants input says so once, as need(...); a modern connection hands that to the client (MRTR), a legacy
# one pushes server->client requests and calls the tool again with the answers. So a gateway's bridge is asked in both
# directions.
def modern(p):
    return (
        bool((p.meta or {}).get("io.modelcontextprotocol/protocolVersion"))
        if isinstance(p.meta, dict) or p.meta is None
        else bool(
            (p.meta.model_dump(by_alias=True) if hasattr(p.meta, "model_dump") else {}).get(
                "io.modelcontextprotocol/protocolVersion"
            )
        )
    )


async def push_one(ctx, req):
    rid = ctx.request_id
    if isinstance(req, t.ElicitRequest) and isinstance(req.params, t.ElicitRequestURLParams):
        return await ctx.session.elicit_url(
            req.params.message, req.params.url, req.params.elicitation_id, related_request_id=rid
        )
    if isinstance(req, t.ElicitRequest):
        return await ctx.session.elicit_form(req.params.message, req.params.requested_schema, related_request_id=rid)
    if isinstance(req, t.CreateMessageRequest):
        return await ctx.session.create_message(
            req.params.messages, max_tokens=req.params.max_tokens, tools=req.params.tools, related_request_id=rid
        )
    return await ctx.session.list_roots()


async def with_input(ctx, p, fn):
    r = await fn(ctx, p)
    if modern(p):
        return r
    for _ in range(8):
        if not isinstance(r, t.InputRequiredResult):
            return r
        try:
            got = dict(
                zip(
                    r.input_requests or {},
                    await asyncio.gather(*(push_one(ctx, q) for q in (r.input_requests or {}).values())),
                    strict=False,
                )
            )
        except Exception as e:
            return say(f"input not supported or error: {e}")
        r = await fn(ctx, p.model_copy(update={"input_responses": got, "request_state": r.request_state}))
    return say("too many rounds", is_error=True)


async def elicited(ctx, p, message, schema, label):
    a = answered(p, "answer")
    if not a:
        return need(answer=t.ElicitRequest(params=t.ElicitRequestFormParams(message=message, requested_schema=schema)))
    return say(f"{label}: action={a[0].action}, content={json.dumps(a[0].content or {})}")


BUS = InMemorySubscriptionBus()
# Of legacy sessions, by their connection: who wants to be told of changes, and who of nothing less than an error.
SUBSCRIBED: dict[Any, Any] = {}
QUIET: WeakSet[Any] = WeakSet()


async def steps(ctx, emit):
    for i in range(3):
        await emit(i)
        await asyncio.sleep(0.05)


async def t_logging(ctx, p):
    msgs = ("Tool execution started", "Tool processing data", "Tool execution completed")
    if ctx.session._connection in QUIET:
        return say("done")
    await steps(ctx, lambda i: ctx.session.send_log_message("info", msgs[i], related_request_id=ctx.request_id))
    return say("done")


async def t_progress(ctx, p):
    await steps(ctx, lambda i: ctx.session.report_progress(i * 50, 100, f"step {i}"))
    return say("done")


async def t_sampling(ctx, p):
    a = answered(p, "answer")
    return (
        say(f"LLM response: {getattr(a[0].content, 'text', '')}")
        if a
        else need(answer=sample((p.arguments or {}).get("prompt", ""), 100))
    )


async def t_url(ctx, p):
    a = answered(p, "answer")
    if not a:
        where = t.ElicitRequestURLParams(message="Sign in", url="https://example.com/sign-in", elicitation_id="sign-in")
        return need(answer=t.ElicitRequest(params=where))
    return say(f"Sign in: action={a[0].action}")


async def t_sampling_tools(ctx, p):
    a = answered(p, "answer")
    tools = [t.Tool(name="weather", input_schema=OBJ)]
    asked = sample("What is the weather?", 100)
    asked.params.tools = tools
    return say(f"LLM response: {getattr(a[0].content, 'text', '')}") if a else need(answer=asked)


async def t_slow(ctx, p):
    """Waits until it is cancelled, and notes it in the file that it is given."""
    try:
        await ctx.session.report_progress(0, 1, "waiting")
        await asyncio.sleep(60)
    except BaseException:
        note_down((p.arguments or {})["note"])
        raise
    return say("never cancelled")


def note_down(path):
    Path(path).write_text("cancelled")


async def t_elicit(ctx, p):
    sch = obj(
        ["username", "email"],
        username={**STR, "description": "User's response"},
        email={**STR, "description": "User's email address"},
    )
    return await elicited(ctx, p, (p.arguments or {}).get("message", ""), sch, "User response")


async def t_defaults(ctx, p):
    sch = obj(
        None,
        name={**STR, "default": "John Doe"},
        age={"type": "integer", "default": 30},
        score={"type": "number", "default": 95.5},
        status={**STR, "enum": ["active", "inactive", "pending"], "default": "active"},
        verified={**BOOL, "default": True},
    )
    return await elicited(ctx, p, "Please provide user information", sch, "Elicitation completed")


async def t_enums(ctx, p):
    ids, names = ["option1", "option2", "option3"], ["First Option", "Second Option", "Third Option"]
    titled = [{"const": i, "title": n} for i, n in zip(ids, names, strict=False)]
    sch = obj(
        None,
        untitledSingle={**STR, "enum": ids},
        titledSingle={**STR, "oneOf": titled},
        legacyEnum={**STR, "enum": ids, "enumNames": names},
        untitledMulti={"type": "array", "items": {**STR, "enum": ids}},
        titledMulti={"type": "array", "items": {"anyOf": titled}},
    )
    return await elicited(ctx, p, "Please choose", sch, "Elicitation completed")


async def t_reconnect(ctx, p):
    await ctx.session.send_log_message("info", "before", related_request_id=ctx.request_id)
    if ctx.close_sse_stream:
        await ctx.close_sse_stream()
    await asyncio.sleep(0.2)
    return say("Reconnection test completed")


async def t_missing(ctx, p):
    caps = ctx.session.client_capabilities
    if caps is None or caps.sampling is None:
        raise MCPError(
            t.MISSING_REQUIRED_CLIENT_CAPABILITY, "sampling required", {"requiredCapabilities": {"sampling": {}}}
        )
    return say("ok")


async def m_elicit(ctx, p):
    a = answered(p, "user_name")
    return (
        say(f"Hello, {field(a[0], 'name')}!")
        if a and field(a[0], "name")
        else need(user_name=ask("What is your name?", name=STR))
    )


async def m_sampling(ctx, p):
    a = answered(p, "capital_question")
    return (
        say(f"Model said: {getattr(a[0].content, 'text', '?')}")
        if a
        else need(capital_question=sample("What is the capital of France?", 100))
    )


async def m_roots(ctx, p):
    a = answered(p, "client_roots")
    return say("roots: " + ", ".join(str(r.uri) for r in a[0].roots)) if a else need(client_roots=t.ListRootsRequest())


async def m_state(ctx, p):
    return (
        say("state-ok")
        if answered(p, "confirm") and p.request_state == "s1"
        else need("s1", confirm=ask("Please confirm", ok=BOOL))
    )


async def m_multi(ctx, p):
    if answered(p, "user_name", "greeting", "client_roots"):
        return say("all inputs received")
    return need(
        "m1",
        user_name=ask("What is your name?", name=STR),
        greeting=sample("Generate a greeting", 50),
        client_roots=t.ListRootsRequest(),
    )


async def m_rounds(ctx, p):
    st = json.loads(p.request_state or "[0]")
    if st[0] == 1 and (a := answered(p, "step1")):
        return need(json.dumps([2, field(a[0], "name")]), step2=ask("Step 2: What is your favorite color?", color=STR))
    if st[0] == 2 and (a := answered(p, "step2")):
        return say(f"{st[1]} likes {field(a[0], 'color')}")
    return need(json.dumps([1]), step1=ask("Step 1: What is your name?", name=STR))


async def m_tamper(ctx, p):
    return say("state-ok") if p.request_state == "r1" else need("r1", confirm=ask("Please confirm", ok=BOOL))


async def m_caps(ctx, p):
    c, reqs = ctx.session.client_capabilities, {}
    if c and c.sampling is not None:
        reqs["sample"] = sample("Say hello", 50)
    if c and c.elicitation is not None:
        reqs["ask"] = ask("What is your name?", name=STR)
    return need("caps", **reqs)


async def err(ctx, p):
    return say("This tool intentionally returns an error for testing", is_error=True)


def const(*blocks):
    async def f(ctx, p):
        return say(*blocks)

    return f


def publish(ev):
    async def f(ctx, p):
        await BUS.publish(ev)
        for session in tuple(SUBSCRIBED.values()):
            with contextlib.suppress(Exception):  # Some have ended.
                await session.send_notification(event_to_notification(ev, {}))
        return say("changed")

    return f


SCHEMA_2020 = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "type": "object",
    "$defs": {"address": {"$anchor": "addressDef", "type": "object", "properties": {"street": STR, "city": STR}}},
    "properties": {
        "name": STR,
        "address": {"$ref": "#/$defs/address"},
        "contactMethod": {**STR, "enum": ["phone", "email"]},
        "phone": STR,
        "email": STR,
    },
    "allOf": [{"anyOf": [{"required": ["phone"]}, {"required": ["email"]}]}],
    "if": {"properties": {"contactMethod": {"const": "phone"}}, "required": ["contactMethod"]},
    "then": {"required": ["phone"]},
    "else": {"required": ["email"]},
    "additionalProperties": False,
}
M = "test_input_required_result_"
TOOLS: dict[str, tuple[Any, dict]] = {
    "test_simple_text": (const("This is a simple text response for testing."), OBJ),
    "test_image_content": (const(image()), OBJ),
    "test_audio_content": (const(t.AudioContent(type="audio", data=WAV, mime_type="audio/wav")), OBJ),
    "test_embedded_resource": (
        const(embed("test://embedded-resource", "text/plain", "This is an embedded resource content.")),
        OBJ,
    ),
    "test_multiple_content_types": (
        const(
            "Multiple content types test:",
            image(),
            embed("test://mixed-content-resource", "application/json", '{"test":"data","value":123}'),
        ),
        OBJ,
    ),
    "test_tool_with_logging": (t_logging, OBJ),
    "test_logging_tool": (t_logging, OBJ),
    "test_tool_with_progress": (t_progress, OBJ),
    "test_error_handling": (err, OBJ),
    "test_url_elicitation": (t_url, OBJ),
    "test_sampling_tools": (t_sampling_tools, OBJ),
    "test_slow": (t_slow, obj(["note"], note=STR)),
    "test_sampling": (t_sampling, obj(["prompt"], prompt=STR)),
    "test_elicitation": (t_elicit, obj(["message"], message=STR)),
    "test_elicitation_sep1034_defaults": (t_defaults, OBJ),
    "test_elicitation_sep1330_enums": (t_enums, OBJ),
    "test_reconnection": (t_reconnect, OBJ),
    "json_schema_2020_12_tool": (const("ok"), SCHEMA_2020),
    "test_missing_capability": (t_missing, OBJ),
    "test_streaming_elicitation": (m_elicit, OBJ),
    "test_x_mcp_header": (const("ok"), obj(None, region={**STR, "x-mcp-header": "Region"})),
    "test_trigger_tool_change": (publish(ToolsListChanged()), OBJ),
    "test_trigger_prompt_change": (publish(PromptsListChanged()), OBJ),
    "test_trigger_resource_update": (publish(ResourceUpdated("test://watched-resource")), OBJ),
    M + "elicitation": (m_elicit, OBJ),
    M + "sampling": (m_sampling, OBJ),
    M + "list_roots": (m_roots, OBJ),
    M + "request_state": (m_state, OBJ),
    M + "multiple_inputs": (m_multi, OBJ),
    M + "multi_round": (m_rounds, OBJ),
    M + "tampered_state": (m_tamper, OBJ),
    M + "capabilities": (m_caps, OBJ),
}
RES = {
    "test://static-text": ("text/plain", "This is the content of the static text resource."),
    "test://static-binary": ("image/png", PNG),
    "test://watched-resource": ("text/plain", "Watched resource content"),
}


def user(c):
    return t.PromptMessage(role="user", content=c)


PROMPTS = {
    "test_simple_prompt": ([], lambda a: [user(text("This is a simple prompt for testing."))]),
    "test_prompt_with_arguments": (
        ["arg1", "arg2"],
        lambda a: [user(text(f"Prompt with arguments: arg1='{a.get('arg1')}', arg2='{a.get('arg2')}'"))],
    ),
    "test_prompt_with_embedded_resource": (
        ["resourceUri"],
        lambda a: [
            user(embed(a.get("resourceUri", ""), "text/plain", "Embedded resource content for testing.")),
            user(text("Please process the embedded resource above.")),
        ],
    ),
    "test_prompt_with_image": ([], lambda a: [user(image()), user(text("Please analyze the image above."))]),
    M + "prompt": ([], None),
}


async def list_tools(ctx, p):
    return t.ListToolsResult(
        tools=[t.Tool(name=n, description=n.replace("_", " "), input_schema=s) for n, (_, s) in TOOLS.items()]
    )


async def call_tool(ctx, p):
    if p.name not in TOOLS:
        raise MCPError(t.INVALID_PARAMS, f"Unknown tool: {p.name}")
    return await with_input(ctx, p, TOOLS[p.name][0])


async def list_res(ctx, p):
    return t.ListResourcesResult(
        resources=[t.Resource(uri=u, name=u.split("//")[1], description=u, mime_type=m) for u, (m, _) in RES.items()]
    )


async def list_tpl(ctx, p):
    return t.ListResourceTemplatesResult(
        resource_templates=[
            t.ResourceTemplate(
                uri_template="test://template/{id}/data",
                name="template",
                description="template",
                mime_type="application/json",
            )
        ]
    )


async def read(ctx, p):
    u = str(p.uri)
    if u in RES:
        m, v = RES[u]
        c = (
            t.BlobResourceContents(uri=u, mime_type=m, blob=v)
            if m == "image/png"
            else t.TextResourceContents(uri=u, mime_type=m, text=v)
        )
    elif u.startswith("test://template/") and u.endswith("/data"):
        i = u.split("/")[3]
        c = t.TextResourceContents(
            uri=u,
            mime_type="application/json",
            text=json.dumps({"id": i, "templateTest": True, "data": f"Data for ID: {i}"}),
        )
    else:
        raise MCPError(t.INVALID_PARAMS, "Resource not found", {"uri": u})
    return t.ReadResourceResult(contents=[c])


async def list_prompts(ctx, p):
    return t.ListPromptsResult(
        prompts=[
            t.Prompt(name=n, description=n, arguments=[t.PromptArgument(name=a, required=True) for a in args])
            for n, (args, _) in PROMPTS.items()
        ]
    )


async def get_prompt(ctx, p):
    return await with_input(ctx, p, prompt)


async def prompt(ctx, p):
    if p.name not in PROMPTS:
        raise MCPError(t.INVALID_PARAMS, f"Unknown prompt: {p.name}")
    if p.name == M + "prompt":
        a = answered(p, "user_context")
        return (
            t.GetPromptResult(messages=[user(text(f"Context: {field(a[0], 'context')}"))])
            if a
            else need(user_context=ask("What context should the prompt use?", context=STR))
        )
    return t.GetPromptResult(messages=PROMPTS[p.name][1](p.arguments or {}))


async def complete(ctx, p):
    vals = [v for v in ("paris", "park", "party") if v.startswith(p.argument.value)]
    return t.CompleteResult(completion=t.Completion(values=vals, total=len(vals), has_more=False))


async def subscribe(ctx, p):
    SUBSCRIBED[ctx.session._connection] = ctx.session
    return t.EmptyResult()


async def unsubscribe(ctx, p):
    SUBSCRIBED.pop(ctx.session._connection, None)
    return t.EmptyResult()


async def set_level(ctx, p):
    (QUIET.add if p.level == "error" else QUIET.discard)(ctx.session._connection)
    return t.EmptyResult()


hint = CacheHint(ttl_ms=1000, scope="public")
server = Server(
    "everything-fixture",
    version="1",
    instructions="fixture",
    on_list_tools=list_tools,
    on_call_tool=call_tool,
    on_list_resources=list_res,
    on_list_resource_templates=list_tpl,
    on_read_resource=read,
    on_subscribe_resource=subscribe,
    on_unsubscribe_resource=unsubscribe,
    on_list_prompts=list_prompts,
    on_get_prompt=get_prompt,
    on_completion=complete,
    on_set_logging_level=set_level,
    on_subscriptions_listen=ListenHandler(BUS),
    get_tool_input_schema=lambda n: TOOLS.get(n, (None, None))[1],
    cache_hints=dict.fromkeys(
        (
            "tools/list",
            "prompts/list",
            "resources/list",
            "resources/templates/list",
            "resources/read",
            "server/discover",
        ),
        hint,
    ),
)
server.middleware.append(
    RequestStateBoundary(
        RequestStateSecurity(keys=[b"fixture-key-fixture-key-fixture-key-0"]), default_audience=server.name
    )
)


class Events(EventStore):
    def __init__(self):
        self.log: list[tuple[str, Any]] = []

    async def store_event(self, stream_id, message):
        self.log.append((stream_id, message))
        return str(len(self.log))

    async def replay_events_after(self, last, send):
        n = int(last)
        if not 0 < n <= len(self.log):
            return None
        sid = self.log[n - 1][0]
        for i, (s, m) in enumerate(self.log[n:], n + 1):
            if s == sid and m is not None:
                await send(EventMessage(m, str(i)))
        return sid


LEGACY, MODERN = "--legacy-only" in sys.argv, "--modern-only" in sys.argv


def era_gate(app):
    """Legacy-only: answer modern probes the way pre-2026 SDKs do.

    Modern-only: refuse initialize, GET, DELETE and legacy versions.
    """

    async def gated(scope, receive, send):
        if scope["type"] == "http" and scope["path"].endswith("/mcp"):
            v = dict(scope["headers"]).get(b"mcp-protocol-version", b"").decode()
            bad = (
                (v == "2026-07-28")
                if LEGACY
                else (MODERN and v in ("", "2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25"))
            )
            if bad:
                e = (
                    {"code": -32000, "message": "Bad Request: Server not initialized"}
                    if LEGACY
                    else {
                        "code": -32022,
                        "message": "Unsupported protocol version",
                        "data": {"supported": ["2026-07-28"], "requested": v or "2025-03-26"},
                    }
                )
                b = json.dumps({"jsonrpc": "2.0", "id": None, "error": e}).encode()
                await send(
                    {
                        "type": "http.response.start",
                        "status": 405 if MODERN and scope["method"] != "POST" else 400,
                        "headers": [(b"content-type", b"application/json")],
                    }
                )
                return await send({"type": "http.response.body", "body": b})
        await app(scope, receive, send)

    return gated


async def run_gated(r, w):
    """Speaks over a pair of streams. The gate sits below the SDK, which locks the era on the first message it sees."""
    refuse = {"server/discover"} if LEGACY else {"initialize"} if MODERN else set()
    forward, gated = anyio.create_memory_object_stream(0)

    async def pump():
        async with forward:
            async for m in r:
                req = getattr(m, "message", None)
                if getattr(req, "method", None) in refuse and hasattr(req, "id"):
                    error = t.ErrorData(code=t.METHOD_NOT_FOUND, message="Method not found")
                    await w.send(SessionMessage(t.JSONRPCError(jsonrpc="2.0", id=req.id, error=error)))
                else:
                    await forward.send(m)

    async with anyio.create_task_group() as tg:
        tg.start_soon(pump)
        await server.run(gated, w, server.create_initialization_options())
        tg.cancel_scope.cancel()


def main():
    kind = sys.argv[1]
    if kind == "stdio":
        from mcp.server.stdio import stdio_server

        async def run():
            async with stdio_server() as (r, w):
                await run_gated(r, w)

        return asyncio.run(run())
    import uvicorn

    port = int(sys.argv[2])
    if kind == "sse":
        from mcp.server.sse import SseServerTransport
        from starlette.applications import Starlette
        from starlette.responses import Response
        from starlette.routing import Mount, Route

        tr = SseServerTransport("/messages/")

        async def sse(request):
            async with tr.connect_sse(request.scope, request.receive, request._send) as (r, w):
                await run_gated(r, w)
            return Response()

        app: Any = Starlette(routes=[Route("/sse", sse), Mount("/messages/", app=tr.handle_post_message)])
    else:
        app = era_gate(
            server.streamable_http_app(json_response="--json" in sys.argv, event_store=Events(), retry_interval=100)
        )
    uvicorn.run(app, host="127.0.0.1", port=port, log_level="error", access_log=False)


if __name__ == "__main__":
    main()
