"""What of a client's request reaches a service: what the document names, and nothing by itself."""

from pathlib import Path
from typing import Any

import pytest
from tests.fakes.gateway import Gateway, running
from tests.fakes.rest import Answered

from portico.config.check import check

pytestmark = pytest.mark.anyio

DOCUMENT = """
version: 1
name: outbound
values: {base: "REST"}
routers: [{prefix: /users, server: users}]
servers: [{name: users}]
tools:
  - {name: plain, request: {url: "{{ values.base }}/plain"}}
  - name: named
    request:
      url: "{{ values.base }}/named"
      headers: {X-Trace: "{{ request.headers.x-trace }}", Authorization: "Bearer configured"}
  - name: argument
    args: [{name: X-Own, in: header, type: string}]
    request: {url: "{{ values.base }}/argument", headers: {Authorization: "Bearer configured"}}
"""
NEVER = [
    "Authorization", "Cookie", "Proxy-Authorization", "Proxy-Connection", "X-Forwarded-For", "X-Forwarded-Proto",
    "X-Forwarded-Host", "Forwarded", "Via", "Mcp-Session-Id", "Mcp-Param-Region", "Last-Event-ID", "TE", "Trailer",
    "Keep-Alive", "Origin", "Referer", "X-Api-Key", "X-Trace", "X-Portico-Client", "X-Real-IP", "Traceparent",
]  # fmt: skip
SENT = {name: "https://console.example.com" if name == "Origin" else "of-the-client" for name in NEVER}
OURS = {"host", "user-agent", "accept", "accept-encoding"}


async def seen(gateway: Gateway, tool: str, arguments: dict[str, Any] | None = None) -> dict[str, str]:
    """The headers that reach the service when a client sends all of them."""
    params = {"name": tool, "arguments": arguments or {}}
    result = (await gateway.modern("tools/call", params, headers=SENT | {"Origin": None})).result
    assert result["isError"] is False, result
    return gateway.rest.requests[-1].headers


async def test_no_header_of_a_client_passes_by_itself(tmp_path: Path, ingress: str) -> None:
    async with running(tmp_path, {"a.yaml": DOCUMENT}, ingress=ingress) as gateway:
        headers = await seen(gateway, "plain")
        assert set(headers) == OURS
        assert headers["host"] == gateway.rest.url.partition("//")[2]
        assert "of-the-client" not in "".join(headers.values())


async def test_a_header_that_the_document_names_passes_and_no_other(tmp_path: Path, ingress: str) -> None:
    async with running(tmp_path, {"a.yaml": DOCUMENT}, ingress=ingress) as gateway:
        headers = await seen(gateway, "named")
        assert set(headers) == OURS | {"x-trace", "authorization"}
        assert (headers["x-trace"], headers["authorization"]) == ("of-the-client", "Bearer configured")


async def test_an_argument_cannot_take_the_place_of_a_configured_credential(tmp_path: Path, ingress: str) -> None:
    async with running(tmp_path, {"a.yaml": DOCUMENT}, ingress=ingress) as gateway:
        headers = await seen(gateway, "argument", {"X-Own": "mine"})
        assert (headers["authorization"], headers["x-own"]) == ("Bearer configured", "mine")
    twice = DOCUMENT.replace("name: X-Own", "name: authorization")
    assert "duplicate-parameter" in {problem.code for problem in check(twice.encode(), "a.yaml").problems}


async def test_the_egress_setting_guards_the_calls_of_tools(tmp_path: Path, ingress: str) -> None:
    async with running(tmp_path, {"a.yaml": DOCUMENT}, ingress=ingress, egress="public") as gateway:
        result = (await gateway.modern("tools/call", {"name": "plain"})).result
        assert result["isError"] is True
        assert "where the egress policy does not let Portico connect" in result["content"][0]["text"]
        assert gateway.rest.requests == []


async def test_a_redirect_of_a_service_is_not_followed(tmp_path: Path, ingress: str) -> None:
    async with running(tmp_path, {"a.yaml": DOCUMENT}, ingress=ingress) as gateway:
        gateway.rest.answers["/named"] = Answered(b"", 302, f"text/plain\r\nLocation: {gateway.rest.url}/plain")
        result = (await gateway.modern("tools/call", {"name": "named"})).result
        assert result["isError"] is True
        assert len(gateway.rest.requests) == 1
