"""The largest document that there may be, with two thousand tools of one tenant: applied to each kind of store, served,
listed and called.
"""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from tests.e2e.conversation import ask, connection, eventually
from tests.e2e.desk import Desk
from tests.e2e.processes import demo, gateway
from tests.fakes.databases import STORES, made

from portico.store.store import MAX_BYTES

pytestmark = [pytest.mark.e2e, pytest.mark.anyio, pytest.mark.timeout(180)]

TOOLS = 2_000
TOKEN = "a-token-of-the-admin-listener"


def document(service: str, marker: str) -> str:
    """Exactly MAX_BYTES, which the descriptions of the tools fill up."""
    head = "version: 1\nname: large\ntenant: acme\nrouters: [{prefix: /large, server: a}]\nservers: [{name: a}]\n"
    tools = [
        f"  - name: tool-{number}\n    request: {{url: {service}/echo/{number}}}\n    description: {marker}"
        for number in range(TOOLS)
    ]
    room = MAX_BYTES - len(head) - len("tools:\n") - sum(len(tool) + 1 for tool in tools)
    each, rest = divmod(room, TOOLS)
    lines = [tool + "." * (each + (number < rest)) for number, tool in enumerate(tools)]
    return f"{head}tools:\n" + "".join(f"{line}\n" for line in lines)


@pytest.fixture(params=STORES)
def desk(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Desk]:
    with made(request.param, tmp_path) as kind:
        found = Desk(kind.url, tmp_path)
        found.done("migrate")
        yield found


async def test_the_largest_document_and_a_tenant_of_two_thousand_tools_are_served(desk: Desk) -> None:
    with demo(desk.directory) as service:
        apply(desk, document(service.url, "first"))
        settings = ["--poll", "3600", "--copy", str(desk.directory / "copy"), "--admin-token", TOKEN]
        with gateway(desk.directory, desk.url, *settings) as running:
            url = f"{running.url}/large/mcp"
            async with connection() as http:
                assert await described(http, url) == {"first"}
                apply(desk, document(service.url, "second"), running.admin.replace("http://", f"http://{TOKEN}@"))

                async def changed() -> bool:
                    return await described(http, url) == {"second"}

                await eventually(changed, "the change")
                result = await ask(http, url, "tools/call", {"name": f"tool-{TOOLS - 1}", "arguments": {}})
                assert f"/echo/{TOOLS - 1}" in result["content"][0]["text"]


def apply(desk: Desk, text: str, notify: str = "") -> None:
    file = desk.write("large.yaml", text)
    assert "large: version" in desk.done("config", "apply", file, "--tenant", "acme", notify=notify)


async def described(http: httpx.AsyncClient, url: str) -> set[str]:
    """The descriptions of all tools, of all pages, without what fills them up."""
    tools: list[dict[str, str]] = []
    cursor: dict[str, str] = {}
    while True:
        page = await ask(http, url, "tools/list", cursor)
        tools += page["tools"]
        if "nextCursor" not in page:
            break
        cursor = {"cursor": page["nextCursor"]}
    assert [tool["name"] for tool in tools] == [f"tool-{number}" for number in range(TOOLS)]
    return {tool["description"].rstrip(".") for tool in tools}
