"""What protects a gateway before any message is read: where a request comes from, how large and how unambiguous it is,
whom it believes, and what it shows."""

import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from tests.fakes.gateway import LEGACY, Gateway, body, modern_body, modern_headers, running
from tests.fakes.http_wire import Reply, request
from tests.interaction.documents import USERS

from portico.config.check import check

pytestmark = pytest.mark.anyio

MCP = "/users/mcp"
PING = body("ping")
CONSOLE = "https://console.example.com"


# Hosts and origins ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "host",
    ["evil.example", "evil.example:80", "localhost.evil.example", "127.0.0.1.evil.example", "127.0.0.2", "", "[::2]",
     "localhost@evil.example", "localhost/evil", "evil.example,localhost", "evil.example localhost", "x" * 400],
)  # fmt: skip
async def test_a_host_that_is_not_ours_is_refused_at_every_door(host: str, gateway: Gateway) -> None:
    for method, target in (("POST", MCP), ("GET", MCP), ("GET", "/users/sse"), ("GET", "/users"), ("OPTIONS", MCP)):
        reply = await gateway.send(method, target, {"Host": host}, PING if method == "POST" else b"")
        assert reply.status in (400, 403), (method, target)


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:1", "127.0.0.1", "127.0.0.1:9", "[::1]", "[::1]:8080"])
async def test_the_names_of_loopback_are_ours(host: str, gateway: Gateway) -> None:
    assert (await gateway.send("POST", MCP, {"Host": host}, PING)).status == 200


async def test_a_page_that_rebinds_its_name_to_loopback_is_refused(gateway: Gateway) -> None:
    rebound = {"Host": f"evil.example:{gateway.port}", "Origin": f"http://evil.example:{gateway.port}"}
    assert (await gateway.send("POST", MCP, rebound, PING)).status == 403
    assert (await gateway.send("GET", "/users/sse", rebound)).status == 403


@pytest.mark.parametrize(
    "origin",
    ["https://evil.example", "null", "", "http://localhost.evil.example", "http://evil.example@localhost@x",
     "file://", "javascript:alert(1)", "http://[", "https://console.example.com.evil.example", "localhost"],
)  # fmt: skip
async def test_a_foreign_origin_is_refused_and_gets_no_cors_headers(origin: str, gateway: Gateway) -> None:
    for path in (MCP, "/open/mcp"):
        reply = await gateway.send("POST", path, {"Origin": origin}, PING)
        assert reply.status == 403
        assert "access-control-allow-origin" not in reply.headers
    assert (await gateway.send("GET", "/users/sse", {"Origin": origin})).status == 403


async def test_an_allowed_host_is_added_by_the_operator(tmp_path: Path, ingress: str) -> None:
    settings = {"allowed_host": ("mcp.example.com", "pinned.example.com:8443")}
    async with running(tmp_path, {"users.yaml": USERS}, ingress=ingress, **settings) as gateway:
        for host, status in (
            ("mcp.example.com", 200),
            ("MCP.example.com:444", 200),
            ("pinned.example.com:8443", 200),
            ("pinned.example.com", 403),
            ("pinned.example.com:8444", 403),
            ("example.com", 403),
        ):
            assert (await gateway.send("POST", MCP, {"Host": host}, PING)).status == status, host


# CORS -----------------------------------------------------------------------------------------------------------------


async def test_a_preflight_says_what_a_listed_page_may_send(gateway: Gateway) -> None:
    wanted = "mcp-session-id, mcp-protocol-version, content-type, x-trace"
    asking = {"Origin": CONSOLE, "Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": wanted}
    reply = await gateway.send("OPTIONS", "/open/mcp", asking)
    assert reply.status == 204
    assert reply.headers["access-control-allow-origin"] == CONSOLE
    assert reply.headers["access-control-allow-credentials"] == "true"
    assert reply.headers["access-control-allow-headers"] == wanted
    assert {"GET", "POST", "DELETE"} <= set(reply.headers["access-control-allow-methods"].split(", "))
    assert reply.headers["access-control-max-age"] == "600"
    assert reply.headers["vary"] == "Origin"


async def test_a_preflight_of_another_page_gets_nothing_of_cors(gateway: Gateway) -> None:
    for path, origin in (("/open/mcp", "https://evil.example"), (MCP, CONSOLE)):
        reply = await gateway.send("OPTIONS", path, {"Origin": origin, "Access-Control-Request-Method": "POST"})
        assert not [name for name in reply.headers if name.startswith("access-control-")]


async def test_a_listed_page_can_read_answers_errors_and_the_session(gateway: Gateway) -> None:
    page = {"Origin": CONSOLE}
    opening = {"protocolVersion": LEGACY, "capabilities": {}, "clientInfo": {"name": "test", "version": "1"}}
    for reply in (
        await gateway.send("POST", "/open/mcp", page, body("initialize", opening)),
        await gateway.send("POST", "/open/mcp", page, b"{"),
        await gateway.send("POST", "/open/mcp", page | {"Content-Type": "text/plain"}, PING),
        await gateway.modern("tools/list", path="/open", headers=page),
    ):
        assert reply.headers["access-control-allow-origin"] == CONSOLE
        assert reply.headers["access-control-allow-credentials"] == "true"
        assert reply.headers["access-control-expose-headers"] == "Mcp-Session-Id, X-More"
        assert [name for name, _ in reply.all_headers].count("access-control-allow-origin") == 1


async def test_one_pages_cors_headers_never_reach_another(gateway: Gateway) -> None:
    note = b'{"jsonrpc":"2.0","method":"notifications/initialized"}'
    for _ in range(3):
        first = await gateway.modern("x", path="/open", headers={"Origin": CONSOLE})
        assert first.headers["access-control-allow-origin"] == CONSOLE
        accepted = await gateway.send("POST", "/open/mcp", modern_headers("x") | {"Origin": CONSOLE}, note)
        assert accepted.status == 202
        assert [name for name, _ in accepted.all_headers].count("access-control-allow-origin") == 1
        plain = await gateway.send("POST", "/open/mcp", modern_headers("x"), note)
        assert not [name for name in plain.headers if name.startswith("access-control-")]


async def test_every_page_may_call_where_the_router_says_so_but_without_credentials(gateway: Gateway) -> None:
    reply = await gateway.modern("tools/list", path="/everybody", headers={"Origin": "https://any.example"})
    assert reply.status == 200
    assert reply.headers["access-control-allow-origin"] in ("*", "https://any.example")
    assert "access-control-allow-credentials" not in reply.headers


def test_credentials_for_every_page_of_the_world_are_a_problem() -> None:
    text = USERS.replace('{allowOrigins: ["*"]}', '{allowOrigins: ["*"], allowCredentials: true}')
    assert "credentials-for-all-origins" in {problem.code for problem in check(text.encode(), "x.yaml").problems}


# Who is asking --------------------------------------------------------------------------------------------------------


async def _client_of(gateway: Gateway, forwarded: str, *, more: tuple[tuple[str, str], ...] = ()) -> str:
    raw = modern_body("tools/list")
    headers = modern_headers("tools/list") | {"X-Forwarded-For": forwarded}
    reply = await gateway.send("POST", MCP, headers, raw, more=more)
    call = reply.result["_meta"]["portico/callId"]
    return next(line["client"] for line in gateway.lines() if line["call"] == call)


async def test_a_strangers_x_forwarded_for_is_not_believed(gateway: Gateway) -> None:
    assert await _client_of(gateway, "203.0.113.9") == "127.0.0.1"


async def test_a_trusted_proxys_client_is_its_last_untrusted_hop(tmp_path: Path, ingress: str) -> None:
    trusted = ("127.0.0.1", "10.0.0.0/8")
    async with running(tmp_path, {"users.yaml": USERS}, ingress=ingress, trusted_proxy=trusted) as gateway:
        assert await _client_of(gateway, "203.0.113.9") == "203.0.113.9"
        assert await _client_of(gateway, "198.51.100.1, 203.0.113.9, 10.1.2.3") == "203.0.113.9"
        assert await _client_of(gateway, "198.51.100.1", more=(("X-Forwarded-For", "203.0.113.9"),)) == "203.0.113.9"
        assert await _client_of(gateway, "203.0.113.9, nonsense") == "127.0.0.1"
        assert await _client_of(gateway, "2001:db8::7") == "2001:db8::7"
        assert await _client_of(gateway, "") == "127.0.0.1"
        page = await gateway.send("GET", "/users", {"X-Forwarded-Proto": "https", "Accept": "text/html"})
        assert f"https://{gateway.host}/users/mcp" in page.text
        odd = await gateway.send("GET", "/users", {"X-Forwarded-Proto": "javascript", "Accept": "text/html"})
        assert f"http://{gateway.host}/users/mcp" in odd.text


async def test_a_stranger_cannot_pose_as_another_worker(gateway: Gateway) -> None:
    posing = {"X-Portico-Client": "203.0.113.9", "X-Portico-Scheme": "https", "Host": "evil.example"}
    assert (await gateway.send("POST", MCP, posing, PING)).status == 403
    assert (await gateway.send("POST", "/.portico/figures")).status == 404
    headers = modern_headers("tools/list") | {"X-Portico-Client": "203.0.113.9"}
    reply = await gateway.send("POST", MCP, headers, modern_body("tools/list"))
    call = reply.result["_meta"]["portico/callId"]
    assert next(line["client"] for line in gateway.lines() if line["call"] == call) == "127.0.0.1"


# Heads and bodies -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    ["Host", "Content-Type", "Content-Length", "Origin", "Authorization", "Mcp-Session-Id", "MCP-Protocol-Version",
     "Mcp-Method", "Mcp-Name", "Mcp-Param-Region", "Last-Event-ID"],
)  # fmt: skip
async def test_what_must_be_one_header_is_refused_when_it_is_there_twice(name: str, gateway: Gateway) -> None:
    given = {"Host": gateway.host, "Content-Type": "application/json", "Content-Length": str(len(PING))}
    value = given.get(name, "x")
    more = [(name.upper(), value)] if name in given else [(name, value), (name.upper(), value)]
    reply = await gateway.send("POST", MCP, {}, PING, more=more)
    assert reply.status == 400
    assert reply.headers["connection"] == "close"


async def test_a_request_without_a_host_is_refused(gateway: Gateway) -> None:
    assert (await gateway.send("POST", MCP, {"Host": None}, PING)).status == 400
    wire = await gateway.connect()
    await wire.send(b"GET /livez HTTP/1.0\r\n\r\n")
    assert (await wire.reply()).status == 400


@pytest.mark.parametrize(
    "framing",
    [
        [("Content-Length", "5"), ("Transfer-Encoding", "chunked")],
        [("Transfer-Encoding", "chunked"), ("Content-Length", "5")],
        [("Content-Length", "5, 5")],
        [("Content-Length", "+5")],
        [("Content-Length", "-1")],
        [("Content-Length", "0x5")],
        [("Content-Length", "99999999999999999999999")],
        [("Transfer-Encoding", "chunked, identity")],
    ],
)
async def test_ambiguous_framing_is_refused_and_the_connection_closed(
    framing: list[tuple[str, str]], gateway: Gateway
) -> None:
    smuggled = request("GET", "/livez", [("Host", gateway.host)])
    pairs = [("Host", gateway.host), ("Content-Type", "application/json"), *framing]
    wire = await gateway.connect()
    await wire.send(request("POST", MCP, pairs, b"0\r\n\r\n" + smuggled))
    assert (await wire.reply()).status in (400, 413, 501)
    assert await wire.at_end()


@pytest.mark.parametrize(
    "raw",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01",
        b"GET / HTTP/9.9\r\nHost: localhost\r\n\r\n",
        b"NONSENSE\r\n\r\n",
        b"GET /livez HTTP/1.1\r\nHost: localhost\r\nA\x00b: c\r\n\r\n",
        b"GET /livez HTTP/1.1\r\nHost: localhost\r\n folded: x\r\n\r\n",
        b"GET /livez HTTP/1.1\r\nHost : localhost\r\n\r\n",
    ],
)
async def test_what_is_not_http_is_refused_and_the_connection_closed(raw: bytes, gateway: Gateway) -> None:
    wire = await gateway.connect()
    await wire.send(raw)
    assert (await wire.reply()).status == 400
    assert await wire.at_end()


async def test_a_url_a_head_or_a_number_of_headers_too_large_is_refused(gateway: Gateway) -> None:
    for target, more, status in (
        ("/users?" + "q" * 9000, (), 414),
        ("/users", [(f"X-{number}", "v") for number in range(110)], 431),
        ("/users", [(f"X-{number}", "v" * 1000) for number in range(60)], 431),
    ):
        reply = await gateway.send("GET", target, more=more)
        assert reply.status == status
        assert reply.headers["connection"] == "close"
    assert (await gateway.send("GET", "/users?" + "q" * 7000, more=[(f"X-{n}", "v") for n in range(80)])).status == 200


async def test_a_client_that_asks_first_is_told_before_it_sends_too_much(gateway: Gateway) -> None:
    wire = await gateway.connect()
    head = {"Expect": "100-continue", "Content-Length": str(1 << 30)}
    await wire.send(gateway.encode("POST", MCP, head))
    assert (await wire.reply()).status == 413
    polite = await gateway.connect()
    await polite.send(gateway.encode("POST", MCP, {"Expect": "100-continue", "Content-Length": str(len(PING))}))
    await polite.send(PING)
    assert (await polite.reply()).result == {}


async def test_requests_on_one_connection_are_answered_in_order(gateway: Gateway) -> None:
    wire = await gateway.connect()
    slow = gateway.encode(
        "POST", MCP, modern_headers("tools/call", {"name": "hold"}), modern_body("tools/call", {"name": "hold"})
    )
    fast = [gateway.encode("POST", MCP, {}, body("ping", None, number)) for number in range(2, 6)]
    await wire.send(slow + b"".join(fast))
    await gateway.rest.until(gateway.rest.held)
    gateway.rest.release.set()
    assert (await wire.reply()).result["isError"] is False
    assert [(await wire.reply()).json["id"] for _ in fast] == [2, 3, 4, 5]


async def test_a_body_may_come_byte_by_byte_or_in_chunks(gateway: Gateway) -> None:
    wire = await gateway.connect()
    for byte in gateway.encode("POST", MCP, {}, PING):
        await wire.send(bytes([byte]))
    assert (await wire.reply()).result == {}
    await wire.send(gateway.encode("POST", MCP, {"Content-Length": None, "Transfer-Encoding": "chunked"}))
    for byte in PING:
        await wire.send(b"1\r\n%b\r\n" % bytes([byte]))
    await wire.send(b"0\r\n\r\n")
    assert (await wire.reply()).result == {}


async def test_a_client_that_dies_in_the_middle_disturbs_nobody(gateway: Gateway) -> None:
    for whole in (gateway.encode("POST", MCP, {}, PING), gateway.encode("GET", "/users/sse")):
        for cut in (1, len(whole) // 2, len(whole) - 1):
            wire = await gateway.connect()
            await wire.send(whole[:cut])
            wire.abort()
            half = await gateway.connect()
            await half.send(whole[:cut])
            half.half_close()
            await half.at_end()
    assert (await gateway.http.post(MCP, json={"jsonrpc": "2.0", "id": 1, "method": "ping"})).status_code == 200
    assert "Traceback" not in gateway.log()


# Sessions -------------------------------------------------------------------------------------------------------------


async def test_a_forged_session_id_is_not_found_and_costs_nothing(gateway: Gateway) -> None:
    client = await gateway.open()
    worker, nonce, mac = client.identifier.split(".")
    before = len(gateway.worker.world.sessions)
    for forged in (
        f"{worker}.{nonce}.{'0' * len(mac)}",
        f"{worker}.{nonce[:-1]}{'B' if nonce.endswith('A') else 'A'}.{mac}",
        f"000000000000.{nonce}.{mac}",
        f"../../etc.{nonce}.{mac}",
        f"{worker}.{nonce}.",
        f"{worker}..{mac}",
        "." * 50,
        "x" * 8000,
    ):
        assert (await client.request("tools/list", headers={"Mcp-Session-Id": forged})).status == 404
        assert (await gateway.send("POST", f"/users/message?sessionId={forged[:4000]}", {}, PING)).status == 404
    assert len(gateway.worker.world.sessions) == before


async def test_a_session_of_the_sse_transport_and_one_of_streamable_http_stay_apart(gateway: Gateway) -> None:
    client, sse = await gateway.open(), await gateway.open_sse()
    identifier = sse.announced.data.partition("sessionId=")[2]
    assert (await gateway.send("POST", f"/users/message?sessionId={client.identifier}", {}, PING)).status == 404
    reply = await client.request("tools/list", headers={"Mcp-Session-Id": identifier})
    assert reply.status == 404
    sse.wire.abort()


async def test_one_sessions_events_are_not_replayed_to_another(gateway: Gateway) -> None:
    one, other = await gateway.open(), await gateway.open()
    wire = await one.post_stream("tools/call", {"name": "echo", "_meta": {"progressToken": 1}})
    events = [await wire.event(), await wire.event()]
    assert all(events)
    stolen = await other.get_stream(events[0].identifier if events[0] else None)
    first = await stolen.event()
    assert first is not None
    assert first.data == ""
    stolen.abort()


# What is shown --------------------------------------------------------------------------------------------------------

HOSTILE = "<script>alert(1)</script>\"'&{{ 7 * 7 }}"


@pytest.fixture
async def hostile(anyio_backend: str, ingress: str, tmp_path: Path) -> AsyncIterator[Gateway]:
    text = f"""
version: 1
name: hostile
routers: [{{prefix: /users, server: users}}]
servers:
  - name: users
    title: {HOSTILE!r}
    description: {HOSTILE!r}
tools:
  - {{name: "a", title: {HOSTILE!r}, description: {HOSTILE!r}, request: {{url: "REST/x"}}}}
""".replace("\\'", "''")
    async with running(tmp_path, {"hostile.yaml": text}, ingress=ingress) as gateway:
        yield gateway


async def test_a_hostile_title_is_text_on_the_page(hostile: Gateway) -> None:
    for target in ("/users", "/users/", "/users/mcp", "/users/sse"):
        reply = await hostile.send("GET", target, {"Accept": "text/html"})
        assert reply.status == 200
        assert reply.headers["content-type"] == "text/html; charset=utf-8"
        assert "<script" not in reply.text.lower()
        assert "&lt;script&gt;" in reply.text
        assert "default-src 'none'" in reply.headers["content-security-policy"]
        assert reply.headers["x-content-type-options"] == "nosniff"
        assert "mcpServers" in reply.text
        assert f"{hostile.url}/users/mcp" in reply.text


async def test_the_page_says_the_public_url(tmp_path: Path, ingress: str) -> None:
    settings = {"public_url": "https://mcp.example.com/tools/"}
    async with running(tmp_path, {"users.yaml": USERS}, ingress=ingress, **settings) as gateway:
        page = await gateway.send("GET", "/users", {"Accept": "text/html", "Host": "mcp.example.com"})
        assert "https://mcp.example.com/tools/users/mcp" in page.text
        sse, _ = await gateway.stream("GET", "/users/sse", {"Accept": "text/event-stream"})
        announced = await sse.event()
        assert announced is not None
        assert announced.data.startswith("/tools/users/message?sessionId=")
        sse.abort()


async def test_the_page_is_read_only(gateway: Gateway) -> None:
    reply = await gateway.send("POST", "/users", {}, PING)
    assert (reply.status, reply.headers["allow"]) == (405, "GET, HEAD")
    head = await gateway.send("HEAD", "/users")
    assert (head.status, head.body) == (200, b"")


async def test_livez_and_readyz_answer_anybody(gateway: Gateway) -> None:
    for path in ("/livez", "/readyz"):
        reply = await gateway.send("GET", path, {"Host": "10.0.0.7:5235"})
        assert reply.status == 200
        assert len(reply.body) < 100


@pytest.mark.parametrize(
    "target",
    ["/", "/nowhere", "/nowhere/mcp", "/users/mcp/x", "/users//mcp", "/Users/mcp", "/users/%6Dcp",
     "/users/../users/mcp", "/users/./mcp", "/mcp", "/metrics", "/status", "/reload", "/api", "*", "/users/mcp%00"],
)  # fmt: skip
async def test_a_path_that_no_router_serves_is_not_found(target: str, gateway: Gateway) -> None:
    for method in ("GET", "POST", "OPTIONS"):
        reply = await gateway.send(method, target, {}, PING if method == "POST" else b"")
        assert reply.status in (400, 404), (method, target)
        assert str(gateway.directory) not in reply.text


async def test_the_admin_listener_is_another_one(changing: Gateway) -> None:
    assert changing.admin_port is not None
    for target in ("/metrics", "/status", "/livez"):
        assert (await changing.send("GET", target, port=changing.admin_port)).status == 200
    assert (await changing.send("POST", "/reload", port=changing.admin_port)).json["failed"] is False
    for method, target in (("GET", "/metrics"), ("GET", "/status"), ("POST", "/reload")):
        assert (await changing.send(method, target)).status == 404
    assert (await changing.send("POST", MCP, {}, PING, port=changing.admin_port)).status == 404


async def test_a_page_cannot_reach_the_admin_listener(changing: Gateway) -> None:
    """A browser on this machine could: by another name for loopback, or by a form that needs no preflight."""
    for headers in ({"Host": f"evil.example:{changing.admin_port}"}, {"Origin": "https://evil.example"}):
        for method, target in (("POST", "/reload"), ("GET", "/status"), ("GET", "/metrics")):
            reply = await changing.send(method, target, headers, port=changing.admin_port)
            assert reply.status == 403, (headers, target)


async def test_the_admin_token_is_needed_where_one_is_set(tmp_path: Path, ingress: str) -> None:
    token = "t" * 32
    async with running(tmp_path, {"users.yaml": USERS}, ingress=ingress, admin=True, admin_token=token) as gateway:
        for wrong in (None, "Bearer", "Bearer wrong", f"Basic {token}", f"bearer  {token} x"):
            reply = await gateway.send("GET", "/metrics", {"Authorization": wrong}, port=gateway.admin_port)
            assert (reply.status, reply.headers["www-authenticate"]) == (401, "Bearer"), wrong
        right = {"Authorization": f"Bearer {token}"}
        assert (await gateway.send("GET", "/metrics", right, port=gateway.admin_port)).status == 200


# What is written down -------------------------------------------------------------------------------------------------


async def test_every_refusal_has_a_call_id_that_the_log_has_too(gateway: Gateway) -> None:
    refusals: list[Reply] = [
        await gateway.send("POST", MCP, {"Host": "evil.example"}, PING),
        await gateway.send("POST", MCP, {"Origin": "https://evil.example"}, PING),
        await gateway.send("POST", MCP, {"Content-Type": "text/plain"}, PING),
        await gateway.send("POST", MCP, {"Accept": "text/plain"}, PING),
        await gateway.send("GET", "/nowhere"),
        await gateway.send("PATCH", MCP),
        await gateway.send("GET", MCP),
        await gateway.send("POST", "/users/message", {}, PING),
    ]
    lines: dict[str, Any] = {line["call"]: line for line in gateway.lines()}
    for reply in refusals:
        line = lines[reply.headers["x-portico-call"]]
        assert (line["kind"], line["status"]) == ("refused", reply.status)
        assert line["detail"]


async def test_nothing_that_a_client_sends_can_forge_a_line_of_the_log(tmp_path: Path, ingress: str) -> None:
    async with running(tmp_path, {"users.yaml": USERS}, ingress=ingress, log="text") as gateway:
        evil = 'x\n12:00:00 call /users tools/call ok 200 1 ms call=forged\r\x1b[31m"\u2028'
        for reply in (
            await gateway.send("POST", MCP, {}, body(evil)),
            await gateway.modern("tools/call", {"name": evil}, headers={"Mcp-Name": None}),
            await gateway.send("POST", MCP, {}, body("resources/read", {"uri": evil})),
            await gateway.send("GET", "/no%0Awhere"),
        ):
            assert reply.status >= 400
        client = await gateway.open()
        await client.request("resources/read", {"uri": evil})
        gateway.worker.world.access_log.flush()
        written = gateway._out.getvalue().decode()
        assert all(re.match(r"\d\d:\d\d:\d\d (call|refused) ", line) for line in written.splitlines())
        assert "\x1b" not in written
        assert len(written.splitlines()) == 6


async def test_an_answer_tells_nothing_of_the_software_beneath(gateway: Gateway) -> None:
    replies = [await gateway.send("GET", "/nowhere"), await gateway.send("POST", MCP, {}, b"{")]
    for reply in replies:
        assert "Traceback" not in reply.text
        assert "/site-packages/" not in reply.text
