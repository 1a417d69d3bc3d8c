"""What the drivers in Python share: arguments in, operations from standard input, answers to standard output.

A driver is a script `driver URL [--mode …] [--transport …] [--header "Name: value"]…`. It reads a JSON array of
operations and prints a JSON array of answers in the same order: `{"op", "result"}` or `{"op", "error"}`. An error
that the server gave is an answer; a client that cannot connect or operate ends with a status other than 0.
With `--answers` it declares that it can be asked, and answers: `{"elicitation": {"action", "content"}, "sampling":
TEXT, "roots": [URI…]}`; of `content` it sends what the form asks for.

Operations: listTools, callTool (name, arguments, progress?, timeout? in seconds, after which the client cancels),
listPrompts, getPrompt (name, arguments?), listResources, listTemplates, readResource (uri), complete (ref, argument,
context?), setLevel (level), ping, serverInfo, hear (level, uri, calls, until): listens to changes of lists and of this
resource and to log messages from that level on, calls these tools, waits until each of these notifications has come,
and gives `told`: all that came, by method.
"""

import argparse
import json
import sys
from collections.abc import Awaitable, Callable
from typing import Any

from mcp.shared.exceptions import MCPError
from pydantic import BaseModel

MODERN = "2026-07-28"
MAX_PAGES = 100

Operation = dict[str, Any]
Method = Callable[[Any, Operation], Awaitable[Any]]


def arguments(*modes: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("url")
    parser.add_argument("--mode", choices=modes, default="legacy")
    parser.add_argument("--transport", choices=["http", "sse"], default="http")
    parser.add_argument("--answers", type=json.loads, default={}, metavar="JSON")
    parser.add_argument("--header", action="append", default=[], metavar="'NAME: VALUE'")
    given = parser.parse_args()
    given.headers = {name: value.strip() for name, _, value in (line.partition(":") for line in given.header)}
    return given


def operations() -> list[Operation]:
    return json.load(sys.stdin)


def answers(found: list[dict[str, Any]]) -> None:
    json.dump(found, sys.stdout)


def version(mode: str) -> str:
    """A mode in the words of the Python clients: the modern era is named by its revision."""
    return MODERN if mode == "modern" else mode


async def perform(client: Any, methods: dict[str, Method], wanted: list[Operation]) -> list[dict[str, Any]]:
    return [{"op": operation["op"], **await _answer(client, methods, operation)} for operation in wanted]


async def _answer(client: Any, methods: dict[str, Method], operation: Operation) -> dict[str, Any]:
    method = methods[operation["op"]]
    try:
        return {"result": plain(await method(client, operation))}
    except MCPError as error:
        return {"error": {"code": error.code, "message": error.message, "data": error.data}}
    except Exception as error:
        # What a client refuses by itself has no code of the protocol.
        return {"error": {"code": None, "message": f"{type(error).__name__}: {error}"}}


def plain(result: Any) -> Any:
    """A result as the JSON that it was on the wire."""
    if isinstance(result, BaseModel):
        return result.model_dump(mode="json", by_alias=True, exclude_none=True)
    return {name: plain(value) for name, value in result.items()} if isinstance(result, dict) else result


async def every_page(fetch: Callable[..., Awaitable[Any]], items: str) -> Any:
    """The first page with the items of all pages."""
    whole = await fetch()
    cursor = whole.next_cursor
    for _ in range(MAX_PAGES):
        if cursor is None:
            whole.next_cursor = None
            return whole
        page = await fetch(cursor=cursor)
        getattr(whole, items).extend(getattr(page, items))
        cursor = page.next_cursor
    raise RuntimeError(f"the list of {items} has more than {MAX_PAGES} pages")


def server_info(client: Any) -> dict[str, Any]:
    return {
        "protocolVersion": client.protocol_version,
        "serverInfo": client.server_info,
        "capabilities": client.server_capabilities,
        "instructions": client.instructions,
    }
