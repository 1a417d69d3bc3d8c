"""A stdio MCP server that misbehaves as it is told: `python mcp_stdio.py [TRAIT…]`.

It speaks the legacy era. A tool call does what the tool's name says; its answer comes in the same line-based way.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time

SLEEPER = "import time; time.sleep(600)"
STUBBORN = (
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); time.sleep(600)"
)


def write(message: object) -> None:
    sys.stdout.write(json.dumps(message) + "\n")
    sys.stdout.flush()


def answer(identifier: object, **member: object) -> None:
    write({"jsonrpc": "2.0", "id": identifier, **member})


def say(identifier: object, text: str) -> None:
    answer(identifier, result={"content": [{"type": "text", "text": text}]})


def family() -> list[int]:
    """A child in a session of its own, one that ignores SIGTERM, and one whose parent is gone."""
    own = subprocess.Popen([sys.executable, "-c", SLEEPER], start_new_session=True)
    stubborn = subprocess.Popen([sys.executable, "-c", STUBBORN], stdout=subprocess.PIPE)
    assert stubborn.stdout is not None
    stubborn.stdout.readline()
    script = (
        "import subprocess, sys; "
        f"child = [sys.executable, '-c', {SLEEPER!r}]; "
        "print(subprocess.Popen(child, start_new_session=True, stdout=subprocess.DEVNULL).pid)"
    )
    orphan = subprocess.run([sys.executable, "-c", script], stdout=subprocess.PIPE, check=True)
    return [os.getpid(), own.pid, stubborn.pid, int(orphan.stdout)]


def call(identifier: object, name: str, arguments: dict) -> None:
    act = ACTS.get(name)
    if act is not None:
        act(identifier, arguments)
    else:
        say(identifier, json.dumps({"pid": os.getpid(), "arguments": arguments}))


def leave(identifier: object, arguments: dict) -> None:
    print("I have had enough", file=sys.stderr, flush=True)
    os._exit(3)


def blurt(identifier: object, arguments: dict) -> None:
    print(f"my key is {os.environ['KEY']}", file=sys.stderr, flush=True)
    os._exit(1)


def garbage(identifier: object, arguments: dict) -> None:
    print("this is no JSON", flush=True)
    print('{"jsonrpc":"2.0"}', flush=True)
    say(identifier, "after garbage")


def foreign(identifier: object, arguments: dict) -> None:
    say(424242, "foreign")
    say("text", "foreign")
    say(identifier, "own")
    say(identifier, "twice")


def flood(identifier: object, arguments: dict) -> None:
    for number in range(20_000):
        print(f"line {number} " + "x" * 100, file=sys.stderr)
    say(identifier, "flooded")


def huge(identifier: object, arguments: dict) -> None:
    sys.stdout.write('{"jsonrpc":"2.0","id":' + json.dumps(identifier) + ',"result":{"text":"')
    for _ in range(100):
        sys.stdout.write("x" * 1_000_000)
    sys.stdout.write('"}}\n')
    sys.stdout.flush()


def close(identifier: object, arguments: dict) -> None:
    os.close(1)
    time.sleep(600)


def raw(identifier: object, arguments: dict) -> None:
    sys.stdout.write('{"jsonrpc":"2.0","id":' + json.dumps(identifier) + ',"result":' + arguments["raw"] + "}\n")
    sys.stdout.flush()


def ask(identifier: object, arguments: dict) -> None:
    """A question first; what comes back is the answer."""
    write({"jsonrpc": "2.0", "id": "question", "method": "elicitation/create", "params": {"for": arguments["me"]}})
    answer_line = json.loads(sys.stdin.readline())
    say(identifier, json.dumps(answer_line.get("result", answer_line.get("error"))))


ACTS = {
    "exit": leave,
    "family": lambda identifier, arguments: say(identifier, json.dumps(family())),
    "environment": lambda identifier, arguments: say(identifier, json.dumps(dict(os.environ))),
    "garbage": garbage,
    "foreign": foreign,
    "hang": lambda identifier, arguments: None,
    "flood": flood,
    "huge": huge,
    "close": close,
    "raw": raw,
    "ask": ask,
    "secret": blurt,
}


def main() -> None:
    traits = set(sys.argv[1:])
    if "broken" in traits:
        print("cannot find my configuration", file=sys.stderr)
        sys.exit(7)
    if "deaf" in traits:
        time.sleep(600)
    if "stubborn" in traits:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if "slow" in traits:
        print("downloading", file=sys.stderr, flush=True)
        time.sleep(1.5)
    for line in sys.stdin:
        message = json.loads(line)
        method, identifier = message.get("method"), message.get("id")
        if method == "server/discover" and "strict" in traits:
            sys.exit("expected initialize")
        elif method == "server/discover" and "silent" in traits:
            continue
        elif method == "initialize":
            info = {"name": "misbehaving", "version": "1"}
            version = message["params"]["protocolVersion"]
            answer(identifier, result={"protocolVersion": version, "capabilities": {"tools": {}}, "serverInfo": info})
        elif method == "tools/call":
            call(identifier, message["params"]["name"], message["params"].get("arguments") or {})
        elif identifier is not None and method is not None:
            answer(identifier, error={"code": -32601, "message": "Method not found"})
    while "stubborn" in traits:
        time.sleep(1)


if __name__ == "__main__":
    main()
