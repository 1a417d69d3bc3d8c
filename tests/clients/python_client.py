"""Drives the client of the Python SDK, `mcp.Client`, over streamable HTTP or the SSE transport.

Modes: `legacy` sends initialize, `auto` asks server/discover first, `modern` adopts 2026-07-28 without asking.
"""

import contextlib
import warnings
from typing import Any

import anyio
from driving import MODERN, Operation, answers, arguments, every_page, operations, perform, server_info, version
from mcp.client.client import Client
from mcp.client.sse import sse_client
from mcp.client.streamable_http import streamable_http_client
from mcp.shared._httpx_utils import create_mcp_http_client
from mcp.types import (
    CreateMessageResult,
    ElicitRequestFormParams,
    ElicitResult,
    ListRootsResult,
    PromptReference,
    ResourceTemplateReference,
    Root,
    SamplingCapability,
    SamplingToolsCapability,
    TextContent,
)
from pydantic import BaseModel

HEARD_WITHIN = 10


async def call_tool(client: Client, operation: Operation) -> Any:
    """With `progress: true` the result also has the progress that was reported, as a list."""
    reported: list[dict[str, Any]] = []

    async def note(progress: float, total: float | None, message: str | None) -> None:
        reported.append({"progress": progress, "total": total, "message": message})

    wants = operation.get("progress", False)
    result = await client.call_tool(
        operation["name"], operation.get("arguments"), operation.get("timeout"), note if wants else None
    )
    shown = result.model_dump(mode="json", by_alias=True, exclude_none=True)
    return shown | {"progress": reported} if wants else shown


async def complete(client: Client, operation: Operation) -> Any:
    kind = PromptReference if operation["ref"]["type"] == "ref/prompt" else ResourceTemplateReference
    return await client.complete(kind.model_validate(operation["ref"]), operation["argument"], operation.get("context"))


async def told(client: Client, _operation: Operation) -> Any:
    return server_info(client)


class Heard:
    """What the server tells this client, by method."""

    def __init__(self) -> None:
        self.told: dict[str, list[Any]] = {}

    async def take(self, message: Any) -> None:
        params = getattr(message, "params", None)
        if isinstance(message, BaseModel) and (method := getattr(message, "method", "")).startswith("notifications/"):
            shown = params.model_dump(mode="json", by_alias=True, exclude_none=True) if params is not None else {}
            self.told.setdefault(method, []).append(shown)

    async def hear(self, client: Client, operation: Operation) -> Any:
        self.told.clear()
        modern = client.protocol_version == MODERN
        async with contextlib.AsyncExitStack() as stack:
            if modern:
                wanted = {"tools_list_changed": True, "prompts_list_changed": True}
                uris = [operation["uri"]]
                await stack.enter_async_context(client.listen(**wanted, resource_subscriptions=uris))
            else:
                await client.subscribe_resource(operation["uri"])
                await client.set_logging_level(operation["level"])
            meta: Any = {"io.modelcontextprotocol/logLevel": operation["level"]} if modern else None
            for name in operation["calls"]:
                await client.call_tool(name, {}, meta=meta)
            with anyio.fail_after(HEARD_WITHIN):
                while not self.told.keys() >= set(operation["until"]):  # noqa: ASYNC110 - the handler is the client's.
                    await anyio.sleep(0.01)
        return {"told": self.told}


METHODS = {
    "listTools": lambda client, _: every_page(client.list_tools, "tools"),
    "callTool": call_tool,
    "listPrompts": lambda client, _: every_page(client.list_prompts, "prompts"),
    "getPrompt": lambda client, operation: client.get_prompt(operation["name"], operation.get("arguments")),
    "listResources": lambda client, _: every_page(client.list_resources, "resources"),
    "listTemplates": lambda client, _: every_page(client.list_resource_templates, "resource_templates"),
    "readResource": lambda client, operation: client.read_resource(operation["uri"]),
    "complete": complete,
    "setLevel": lambda client, operation: client.set_logging_level(operation["level"]),
    "ping": lambda client, _: client.send_ping(),
    "serverInfo": told,
}


def asked(given: dict[str, Any]) -> dict[str, Any]:
    """What makes a client one that can be asked, as `--answers` says."""

    async def elicit(_context: Any, params: Any) -> ElicitResult:
        answer = dict(given["elicitation"])
        wanted = params.requested_schema["properties"] if isinstance(params, ElicitRequestFormParams) else {}
        if answer["action"] == "accept" and wanted:
            return ElicitResult(
                action="accept", content={key: value for key, value in answer["content"].items() if key in wanted}
            )
        return ElicitResult(action=answer["action"])

    async def sample(_context: Any, params: Any) -> CreateMessageResult:
        tools = ", ".join(tool.name for tool in params.tools or [])
        said = given["sampling"] + (f" (with {tools})" if tools else "")
        return CreateMessageResult(role="assistant", content=TextContent(type="text", text=said), model="fixed")

    async def roots(_context: Any) -> ListRootsResult:
        return ListRootsResult(roots=[Root(uri=uri) for uri in given["roots"]])

    if not given:
        return {}
    return {
        "elicitation_callback": elicit,
        "sampling_callback": sample,
        "sampling_capabilities": SamplingCapability(tools=SamplingToolsCapability()),
        "list_roots_callback": roots,
    }


async def log(_message: Any) -> None:
    """The message handler is given log messages as well."""


async def converse(server: Any, mode: str, given: dict[str, Any]) -> None:
    heard = Heard()
    async with Client(
        server, mode=mode, read_timeout_seconds=30, message_handler=heard.take, logging_callback=log, **asked(given)
    ) as client:
        answers(await perform(client, {**METHODS, "hear": heard.hear}, operations()))


async def main() -> None:
    given = arguments("legacy", "auto", "modern")
    if given.transport == "sse":
        await converse(sse_client(given.url, headers=given.headers), version(given.mode), given.answers)
        return
    async with create_mcp_http_client(headers=given.headers) as http:
        await converse(streamable_http_client(given.url, http_client=http), version(given.mode), given.answers)


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    anyio.run(main)
