"""Drives FastMCP's client, which is built on the Python SDK but negotiates, caches and reports in its own way.

Modes as in python_client.py; over the SSE transport `auto` becomes `legacy`, because FastMCP never probes there.
"""

import logging
import warnings
from typing import Any

import anyio
from driving import Operation, answers, arguments, every_page, operations, perform, server_info, version
from fastmcp import Client
from fastmcp.client.transports import SSETransport, StreamableHttpTransport
from mcp.types import PromptReference, ResourceTemplateReference


async def call_tool(client: Client[Any], operation: Operation) -> Any:
    """With `progress: true` the result also has the progress that was reported, as a list."""
    reported: list[dict[str, Any]] = []

    async def note(progress: float, total: float | None, message: str | None) -> None:
        reported.append({"progress": progress, "total": total, "message": message})

    wants = operation.get("progress", False)
    result = await client.call_tool_mcp(
        operation["name"],
        operation.get("arguments", {}),
        progress_handler=note if wants else None,
        timeout=operation.get("timeout"),
    )
    shown = result.model_dump(mode="json", by_alias=True, exclude_none=True)
    return shown | {"progress": reported} if wants else shown


async def complete(client: Client[Any], operation: Operation) -> Any:
    kind = PromptReference if operation["ref"]["type"] == "ref/prompt" else ResourceTemplateReference
    ref = kind.model_validate(operation["ref"])
    return await client.complete_mcp(ref, operation["argument"], operation.get("context"))


async def ping(client: Client[Any], _operation: Operation) -> Any:
    await client.ping()
    return {}


async def set_level(client: Client[Any], operation: Operation) -> Any:
    await client.set_logging_level(operation["level"])
    return {}


async def told(client: Client[Any], _operation: Operation) -> Any:
    return server_info(client)


METHODS = {
    "listTools": lambda client, _: every_page(client.list_tools_mcp, "tools"),
    "callTool": call_tool,
    "listPrompts": lambda client, _: every_page(client.list_prompts_mcp, "prompts"),
    "getPrompt": lambda client, operation: client.get_prompt_mcp(operation["name"], operation.get("arguments")),
    "listResources": lambda client, _: every_page(client.list_resources_mcp, "resources"),
    "listTemplates": lambda client, _: every_page(client.list_resource_templates_mcp, "resource_templates"),
    "readResource": lambda client, operation: client.read_resource_mcp(operation["uri"]),
    "complete": complete,
    "setLevel": set_level,
    "ping": ping,
    "serverInfo": told,
}


async def main() -> None:
    given = arguments("legacy", "auto", "modern")
    carrier = SSETransport if given.transport == "sse" else StreamableHttpTransport
    transport = carrier(given.url, headers=given.headers)
    async with Client(transport, mode=version(given.mode), timeout=30) as client:
        answers(await perform(client, METHODS, operations()))


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    anyio.run(main)
