"""Gateways on real databases: what is written is served, a restart is not noticed, and neither is a database that is
down, also by a gateway that starts meanwhile.
"""

import asyncio
import subprocess
import sys
import threading
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.e2e.commands import run
from tests.e2e.conversation import BOTH, modern_request, result_of
from tests.e2e.processes import Gateway, gateway, get, post, started, until
from tests.fakes.databases import KINDS, Kind, made

from portico.store.open import open_store
from portico.store.store import Store

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(180)]


def document(marker: str, more: str = "") -> bytes:
    return f"""
version: 1
name: a
{more}
routers: [{{prefix: /a, server: a}}]
servers: [{{name: a}}]
resources: [{{uri: "test://{marker}", name: marker, text: "{marker}"}}]
""".encode()


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Kind]:
    with made(request.param, tmp_path) as found:
        done = run("migrate", "--store", found.url)
        assert done.returncode == 0, done.stderr
        yield found


def on(url: str, what: Any) -> Any:
    """What somebody else does on the store meanwhile."""

    async def work() -> Any:
        store = open_store(url)
        try:
            return await what(store)
        finally:
            await store.close()

    return asyncio.run(work())


def put(url: str, text: bytes, tenant: str = "default", name: str = "a") -> int:
    def what(store: Store) -> Coroutine[Any, Any, int]:
        return store.documents.put(tenant, name, text, expected=None, author="anna", action="apply")

    return on(url, what)


def served(running: Gateway) -> list[str]:
    asked = modern_request("resources/list")
    asked["headers"]["accept"] = BOTH
    answer = post(f"{running.url}/a/mcp", **asked)
    return [each["uri"] for each in result_of(answer)["resources"]] if answer.status_code == 200 else []


def trouble(running: Gateway) -> list[bool]:
    return [bool(worker["store"]["trouble"]) for worker in running.status()]


class Caller(threading.Thread):
    """Calls again and again until it is told to stop, and keeps what went wrong."""

    def __init__(self, running: Gateway) -> None:
        super().__init__()
        self.url = f"{running.url}/a/mcp"
        self.calls = 0
        self.wrong: list[str] = []
        self.enough = threading.Event()

    def run(self) -> None:
        asked = modern_request("resources/list")
        asked["headers"]["accept"] = BOTH
        with httpx.Client(trust_env=False, timeout=30) as client:
            while not self.enough.is_set():
                answer = client.post(self.url, **asked)
                self.calls += 1
                if answer.status_code != 200 or "test://" not in answer.text:
                    self.wrong.append(answer.text)


def test_a_gateway_serves_what_is_in_the_database_and_outlives_it(kind: Kind, tmp_path: Path) -> None:
    put(kind.url, document("first"))
    more = ["--poll", "0.2", "--copy", str(tmp_path / "state" / "copy"), "--workers", "2"]
    with gateway(tmp_path, kind.url, *more) as running:
        assert served(running) == ["test://first"]
        put(kind.url, document("second"))
        until(lambda: served(running) == ["test://second"], "the change")
        assert trouble(running) == [False, False]
        if not kind.url.startswith("sqlite:"):
            outlives(running, kind)
        said = running.log + running.out.read_text() + get(f"{running.admin}/status").text
        assert "a-password-of" not in said
        until(lambda: len({worker["revision"] for worker in running.status()}) == 1, "both workers have read the same")
        (last,) = served(running)
    assert (tmp_path / "state" / "copy").stat().st_mode & 0o777 == 0o600
    down(kind)
    with gateway(tmp_path, kind.url, "--poll", "0.2", *more[2:4], name="again") as running:
        assert served(running) == [last]
        assert trouble(running) == [True]
        up(kind)
        put(kind.url, document("fourth"))
        until(lambda: served(running) == ["test://fourth"], "the database is back")


def outlives(running: Gateway, kind: Kind) -> None:
    caller = Caller(running)
    caller.start()
    try:
        kind.stop()
        until(lambda: trouble(running) == [True, True], "the database is down")
        health = get(f"{running.url}/readyz")
        assert health.status_code == 200
        assert health.text.startswith("ready, serving what was read last: the store cannot be read")
        kind.start()
        put(kind.url, document("third"))
        until(lambda: served(running) == ["test://third"], "a change after the restart")
        until(lambda: trouble(running) == [False, False], "both workers read again")
    finally:
        caller.enough.set()
        caller.join(30)
    assert caller.calls > 20
    assert caller.wrong == []
    assert any("What was read last goes on being served" in text for text in running.messages)
    assert "The store can be read again." in running.messages


def down(kind: Kind) -> None:
    """A file is down when it is not there."""
    if kind.url.startswith("sqlite:"):
        file = Path(kind.url.removeprefix("sqlite:"))
        file.rename(file.with_suffix(".away"))
    else:
        kind.stop()


def up(kind: Kind) -> None:
    if kind.url.startswith("sqlite:"):
        file = Path(kind.url.removeprefix("sqlite:"))
        file.with_suffix(".away").rename(file)
    else:
        kind.start()


def test_without_a_copy_a_gateway_waits_for_its_database(tmp_path: Path) -> None:
    url = f"sqlite:{tmp_path}/a.db"
    with gateway_not_ready(tmp_path, url) as running:
        until(lambda: "portico migrate" in running.log, "what to do is said")
        assert get(f"{running.url}/readyz").status_code == 503
        assert run("migrate", "--store", url).returncode == 0
        put(url, document("first"))
        until(lambda: get(f"{running.url}/readyz").status_code == 200, "the database is there")
        until(lambda: served(running) == ["test://first"], "what was written")
        assert "Traceback" not in running.log


@contextmanager
def gateway_not_ready(directory: Path, url: str) -> Iterator[Gateway]:
    command = ["gateway", "--store", url, "--port", "0", "--admin", "127.0.0.1:0", "--poll", "0.2", "--log", "json"]
    with started(directory, "gateway", [*command, "--copy", "off"], None) as process:
        match = process.said(r"portico gateway: (https?://[^\s,]+), admin on (http://[^\s,]+)")
        until(lambda: answers(match[1]), "it listens")
        yield Gateway(process.process, process.out, process.err, match[1], match[2])


def answers(url: str) -> bool:
    try:
        return bool(get(f"{url}/livez").status_code)
    except httpx.TransportError:
        return False


def test_tenants_have_their_own_and_nothing_of_another(tmp_path: Path) -> None:
    url = f"sqlite:{tmp_path}/a.db"
    assert run("migrate", "--store", url).returncode == 0
    on(url, lambda store: store.tenants.put("acme", "/acme", author="anna"))
    for tenant, name, text in (
        ("acme", "good", "tenant: acme\nname: good\nrouters: [{prefix: /acme/a, server: a}]"),
        ("acme", "liar", "tenant: default\nname: liar\nrouters: [{prefix: /liar, server: a}]"),
        ("acme", "far", "tenant: acme\nname: far\nrouters: [{prefix: /far, server: a}]"),
        ("default", "thief", "name: thief\nrouters: [{prefix: /acme/b, server: a}]"),
        ("default", "free", "name: free\nrouters: [{prefix: /acmefree, server: a}]"),
    ):
        put(url, f"version: 1\n{text}\nservers: [{{name: a}}]\n".encode(), tenant, name)
    with gateway(tmp_path, url, "--copy", "off") as running:
        (found,) = running.status()
        assert found["endpoints"] == ["/acme/a", "/acmefree"]
        told = {each["source"]: "".join(each["problems"]) for each in found["documents"]}
        assert "lies with acme" in told["acme/liar"].replace('"', "").replace("'", "")
        assert "the prefix of the tenant" in told["acme/far"]
        assert "another tenant owns" in told["default/thief"]


def test_a_process_is_not_started_for_whoever_may_write_to_a_database(tmp_path: Path) -> None:
    url = f"sqlite:{tmp_path}/a.db"
    assert run("migrate", "--store", url).returncode == 0
    servers = "mcpServers: {a: {command: sleep, args: ['9']}}"
    text = f"version: 1\nname: a\nrouters: [{{prefix: /a, server: a}}]\n{servers}\n"
    put(url, text.encode())
    with gateway(tmp_path, url, "--copy", "off") as running:
        (found,) = running.status()
        assert found["endpoints"] == []
    with gateway(tmp_path, url, "--copy", "off", "--stdio", "admin", name="trusting") as running:
        (found,) = running.status()
        assert found["endpoints"] == ["/a"]


def test_a_gateway_on_files_loads_nothing_of_databases(tmp_path: Path) -> None:
    code = (
        "import sys, portico.apps.world, portico.cli\n"
        "from portico.store.open import open_source\nopen_source('files:.')\n"
        "print([name for name in sys.modules if name.startswith(('sqlalchemy', 'alembic', 'asyncpg', 'aiomysql'))])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30, cwd=tmp_path)
    assert done.stdout.strip() == "[]", done.stderr
