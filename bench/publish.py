"""From a change in a store of many documents to the call that sees it: when the gateway is told, and when it looks."""

from __future__ import annotations

import json
import time
from pathlib import Path
from statistics import median

from bench.client import FIRST, Client
from bench.messages import MARK, call, modern
from bench.servers import Server
from bench.swap import DOCUMENTS, LAST, PATIENCE, document, write
from portico.notify.open import open_senders
from portico.store.open import migrate, open_store
from portico.store.records import DEFAULT_TENANT
from portico.store.store import Store

POLL = 2
ROUNDS = 3
PAUSE = 0.005
TOKEN = "a-token-of-the-bench"


async def fill(url: str) -> None:
    """Put all documents; into a directory as people do, by writing files."""
    await migrate(url)
    if url.startswith("files:"):
        write(Path(url.removeprefix("files:")), 1)
        return
    store = open_store(url)
    for number in range(DOCUMENTS):
        await _put(store, number)
    await store.close()


async def measure(server: Server, url: str, admin: int, service: int) -> dict[str, float]:
    """Seconds and bytes. The gateway looks each POLL seconds; `service` is the port of what the new tools call."""
    start = server.wait(modern(LAST, "tools/list", {}))
    store, client = open_store(url), Client(server.port)
    (sender,) = open_senders([f"http://{TOKEN}@127.0.0.1:{admin}"])
    looked, told = [], []
    for number in range(ROUNDS):
        await _put(store, DOCUMENTS - 1, f"looked_{number}", service)
        looked.append(_until_seen(client, f"looked_{number}"))
        # The gateway has just looked, and will not do so by itself before this is seen.
        await _put(store, DOCUMENTS - 1, f"told_{number}", service)
        began = time.perf_counter()
        await sender.announce(await store.revision())
        _until_seen(client, f"told_{number}")
        told.append(time.perf_counter() - began)
    client.close()
    await sender.close()
    await store.close()
    return {"start": start, "looked": median(looked), "told": median(told), "memory": server.process.memory()}


async def _put(store: Store, number: int, tool: str = "", service: int = 0) -> None:
    """Write a document, with one more tool where it is named."""
    found = document(number)
    if tool:
        argument = {"name": "id", "in": "query", "type": "string", "required": True}
        found["tools"].append({"name": tool, "args": [argument], "request": {"url": f"http://127.0.0.1:{service}/"}})
    text = json.dumps(found).encode()
    await store.documents.put(DEFAULT_TENANT, found["name"], text, expected=None, author="bench", action="apply")


def _until_seen(client: Client, tool: str) -> float:
    """The seconds until a call of the tool is answered by the service."""
    began = time.perf_counter()
    template = modern(LAST, "tools/call", call(tool, id=f"item-{MARK}"))
    while b"item-%d" % FIRST not in client.ask(template).body:
        if time.perf_counter() > began + PATIENCE:
            raise RuntimeError(f"a new tool was not served within {PATIENCE:.0f} s")
        time.sleep(PAUSE)
    return time.perf_counter() - began
