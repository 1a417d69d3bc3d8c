"""Drives mcp-remote, which desktop clients start as a child and talk to over standard input and output.

The client of the Python SDK plays the desktop client and stays in the legacy era, as those do. The mode is the era
that mcp-remote itself speaks to the endpoint: `legacy`, or `auto`, where it probes and translates.
"""

import os
import warnings

import anyio
from driving import arguments
from mcp.client.stdio import StdioServerParameters
from programs import MCP_REMOTE, NODE
from python_client import converse


async def main() -> None:
    given = arguments("legacy", "auto")
    headers = [part for line in given.header for part in ("--header", line)]
    child = StdioServerParameters(
        command=str(NODE),
        args=[
            *(str(MCP_REMOTE), given.url, "--allow-http", "--silent", *headers),
            *("--transport", f"{given.transport}-only", "--protocol", given.mode),
        ],
        env=dict(os.environ),
    )
    await converse(child, "legacy", given.answers)


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    anyio.run(main)
