"""Two gateways of two workers each, which look at their store once in an hour: what brings a change to all four is what
is announced, by each kind of notifier. And one that is broken, where the poll repairs it.
"""

import os
import signal
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from subprocess import CompletedProcess

import pytest
from tests.e2e.commands import run
from tests.e2e.conversation import BOTH, modern_request, result_of
from tests.e2e.processes import Gateway, gateway, post, until, write
from tests.fakes import postgres_server, redis_server

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(120)]

TOKEN = "a-token-of-the-admin-listener"
KINDS = ("signal", "http", "redis", "redis+sentinel", "redis+cluster", "postgresql")


def document(marker: str) -> str:
    return f"""
version: 1
name: a
routers: [{{prefix: /a, server: a}}]
servers: [{{name: a}}]
resources: [{{uri: "test://{marker}", name: marker, text: "{marker}"}}]
"""


@pytest.fixture
def documents(tmp_path: Path) -> Path:
    directory = tmp_path / "documents"
    directory.mkdir()
    write(directory / "a.yaml", document("first"))
    return directory


@contextmanager
def gateways(directory: Path, documents: Path | str, *settings: str, poll: str = "3600") -> Iterator[list[Gateway]]:
    with ExitStack() as stack:
        found = []
        for name in ("one", "other"):
            own = ["--workers", "2", "--poll", poll, "--pidfile", str(directory / f"{name}.pid"), *settings]
            found.append(stack.enter_context(gateway(directory, documents, *own, name=name)))
        yield found


@contextmanager
def hub(kind: str, directory: Path) -> Iterator[str | None]:
    """The URL of a service that carries messages, for the kinds that have one."""
    makers = {
        "redis": redis_server.single,
        "redis+sentinel": redis_server.behind_sentinel,
        "redis+cluster": redis_server.cluster,
    }
    if kind in makers:
        with makers[kind](directory) as (_, url):
            yield url
    elif kind == "postgresql":
        with postgres_server.postgres() as server:
            yield server.url
    else:
        yield None


def senders(kind: str, directory: Path, found: list[Gateway]) -> list[str]:
    if kind == "signal":
        return [f"signal:{directory}/{name}.pid" for name in ("one", "other")]
    return [each.admin.replace("http://", f"http://{TOKEN}@") for each in found]


def seen(running: Gateway, reloads: int, marker: str) -> bool:
    """Whether each worker has loaded so often, and a client sees the document."""
    if [worker["reloads"] >= reloads for worker in running.status()] != [True, True]:
        return False
    asked = modern_request("resources/list")
    asked["headers"]["accept"] = BOTH
    found = result_of(post(f"{running.url}/a/mcp", **asked))["resources"]
    return [each["uri"] for each in found] == [f"test://{marker}"]


def connected(running: Gateway) -> bool:
    return [worker["notifiers"][0]["up"] for worker in running.status()] == [True, True]


def announce(documents: Path, urls: list[str]) -> CompletedProcess[str]:
    return run("announce", "--store", f"files:{documents}", *(part for url in urls for part in ("--notify", url)))


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_announced_is_served_by_every_worker(kind: str, tmp_path: Path, documents: Path) -> None:
    with hub(kind, tmp_path) as url:
        settings = ["--admin-token", TOKEN, *(["--notify", url] if url else [])]
        with gateways(tmp_path, documents, *settings) as found:
            urls = [url] if url else senders(kind, tmp_path, found)
            if url:
                until(lambda: all(connected(each) for each in found), "both listen")
            write(documents / "a.yaml", document("second"))
            done = announce(documents, urls)
            assert done.returncode == 0, done.stdout + done.stderr
            for each in found:
                until(lambda each=each: seen(each, 2, "second"), "the change is served")
            said = "".join(each.log + each.out.read_text() for each in found) + done.stdout
            assert TOKEN not in said
            assert "a-password-of" not in said


def test_what_cannot_be_announced_is_a_warning_and_polling_repairs_it(tmp_path: Path, documents: Path) -> None:
    nobody = f"redis://:secret-of-nobody@127.0.0.1:{redis_server.free_port()}"
    with gateways(tmp_path, documents, "--notify", nobody, "--admin-token", TOKEN, poll="0.5") as found:
        write(documents / "a.yaml", document("second"))
        done = announce(documents, [nobody])
        assert done.returncode == 1
        assert "redis://127.0.0.1" in done.stdout
        assert "secret-of-nobody" not in done.stdout + done.stderr
        for each in found:
            until(lambda each=each: seen(each, 2, "second"), "the change is served")


def test_a_storm_of_signals_ends_no_gateway_and_is_few_reloads(tmp_path: Path, documents: Path) -> None:
    path = tmp_path / "gateway.pid"
    with gateway(tmp_path, documents, "--poll", "3600", "--pidfile", str(path)) as running:
        assert path.read_text() == f"{running.process.pid}\n"
        before = running.status()[0]["tasks"]
        for _ in range(500):
            os.kill(running.process.pid, signal.SIGHUP)
        until(lambda: running.status()[0]["reloads"] > 1, "a reload")
        assert running.status()[0]["tasks"] <= before + 2
        assert running.end() == 0
    assert path.read_text() == ""


def test_two_gateways_do_not_share_a_pidfile(tmp_path: Path, documents: Path) -> None:
    path = tmp_path / "gateway.pid"
    with gateway(tmp_path, documents, "--pidfile", str(path)) as running:
        done = run("gateway", "--store", f"files:{documents}", "--port", "0", "--admin", "off", "--pidfile", str(path))
        assert done.returncode == 2
        assert f"is held by process {running.process.pid}" in done.stderr
        assert running.process.poll() is None


def test_nothing_to_announce_to_is_said(documents: Path) -> None:
    done = run("announce", "--store", f"files:{documents}")
    assert done.returncode == 2
    assert "--notify" in done.stdout + done.stderr
