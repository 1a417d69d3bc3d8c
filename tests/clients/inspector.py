"""Drives the command line of the MCP Inspector: one process, and so one connection, per operation.

Modes are its protocol eras: `legacy`, `auto` and `modern`. It cannot ping or complete, and its errors carry a word
instead of the protocol's code.
"""

import json
import subprocess
import sys
from typing import Any

from driving import Operation, answers, arguments, operations
from programs import INSPECTOR, NODE

# Statuses of the Inspector's process besides 0: what the server refused is an answer, what never reached it is not.
REFUSED = 1
TOOL_FAILED = 5
WAIT = 60


def pairs(values: dict[str, Any]) -> list[str]:
    return [f"{name}={value if isinstance(value, str) else json.dumps(value)}" for name, value in values.items()]


def flags(operation: Operation) -> list[str]:
    """One operation in the words of the command line."""
    given = operation.get("arguments") or {}
    match operation["op"]:
        case "listTools":
            return ["--method", "tools/list"]
        case "callTool":
            return ["--method", "tools/call", "--tool-name", operation["name"], "--tool-args-json", json.dumps(given)]
        case "listPrompts":
            return ["--method", "prompts/list"]
        case "getPrompt":
            arguments = ["--prompt-args", *pairs(given)] if given else []
            return ["--method", "prompts/get", "--prompt-name", operation["name"], *arguments]
        case "listResources":
            return ["--method", "resources/list"]
        case "listTemplates":
            return ["--method", "resources/templates/list"]
        case "readResource":
            return ["--method", "resources/read", "--uri", operation["uri"]]
        case "setLevel":
            return ["--method", "logging/setLevel", "--log-level", operation["level"]]
        case "serverInfo":
            return ["--method", "initialize"]
        case other:
            raise SystemExit(f"the Inspector's command line cannot {other}")


def run(connection: list[str], operation: Operation) -> dict[str, Any]:
    command = [str(NODE), str(INSPECTOR), "--cli", *connection, "--format", "json", "--quiet", *flags(operation)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=WAIT, stdin=subprocess.DEVNULL)
    # A tool that reports an error still prints its result, but ends the process with a status of its own.
    if done.stdout.strip() and done.returncode in (0, TOOL_FAILED):
        return {"op": operation["op"], "result": json.loads(done.stdout)["result"]}
    if done.returncode not in (REFUSED, TOOL_FAILED) or not done.stderr.startswith('{"error"'):
        raise SystemExit(f"the Inspector ended with {done.returncode}: {done.stdout}{done.stderr}")
    return {"op": operation["op"], "error": json.loads(done.stderr)["error"]}


def main() -> None:
    given = arguments("legacy", "auto", "modern")
    headers = ["--header", *given.header] if given.header else []
    target = ["--server-url", given.url, "--transport", given.transport, "--protocol-era", given.mode]
    wanted = operations()
    answers([run([*target, *headers], operation) for operation in wanted])


if __name__ == "__main__":
    sys.exit(main())
