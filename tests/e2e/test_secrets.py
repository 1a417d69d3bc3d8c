"""Sealed secrets of a store, from the command line to the request of a tool call."""

import json
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.e2e.conversation import BOTH, modern_request, result_of
from tests.e2e.desk import Desk
from tests.e2e.processes import Gateway, gateway, get, post, until
from tests.fakes import rest
from tests.fakes.databases import STORES, made

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(180)]

VALUE = "p0rtic0-secret-one"

DOCUMENT = """
version: 1
name: a
routers: [{prefix: /a, server: a}]
servers: [{name: a}]
tools:
  - {name: ask, request: {url: "URL/ask", headers: {x-token: "{{ secrets.TOKEN }}"}}}
"""


@pytest.fixture(params=STORES)
def any_desk(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Desk]:
    with made(request.param, tmp_path) as kind:
        found = Desk(kind.url, tmp_path, VALUE)
        found.done("migrate")
        yield found


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    found = Desk(f"sqlite:{tmp_path}/a.db", tmp_path, VALUE)
    found.done("migrate")
    return found


def told(running: Gateway, called: rest.Rest) -> str:
    """The secret that the service got, or the error that the client got instead."""
    asked = modern_request("tools/call", {"name": "ask", "arguments": {}})
    asked["headers"] |= {"accept": BOTH}
    result = result_of(post(f"{running.url}/a/mcp", **asked))
    return result["content"][0]["text"] if result.get("isError") else called.requests[-1].headers["x-token"]


def status(running: Gateway) -> str:
    return running.status()[0]["store"]["secrets"]


def test_a_sealed_secret_reaches_the_service_and_nobody_else(any_desk: Desk) -> None:
    desk = any_desk
    with rest.in_a_thread() as called:
        (desk.directory / "a.yaml").write_text(DOCUMENT.replace("URL", called.url))
        desk.done("config", "apply", "a.yaml")
        assert "was made. Keep a copy" in desk.done("secret", "set", "TOKEN", given=VALUE + "\n")
        assert stat.S_IMODE(desk.key_file.stat().st_mode) == 0o600
        (shown,) = json.loads(desk.done("secret", "list", "--json"))
        assert (shown["name"], shown["opens"]) == ("TOKEN", True)
        with gateway(desk.directory, desk.url, "--poll", "0.2", env=desk.environment) as running:
            assert told(running, called) == VALUE
            # Set anew, it is used without a restart.
            (desk.directory / "value").write_text("another-value")
            desk.done("secret", "set", "TOKEN", "--from", "value")
            until(lambda: told(running, called) == "another-value", "the new secret")
            # Another key seals it, and nobody notices.
            desk.done("secret", "rekey", "--drop")
            (again,) = json.loads(desk.done("secret", "list", "--json"))
            assert again["key"] != shown["key"]
            assert again["opens"]
            assert len(desk.key_file.read_text().splitlines()) == 2
            assert told(running, called) == "another-value"
            desk.done("secret", "set", "TOKEN", given=VALUE)
            until(lambda: told(running, called) == VALUE, "the secret under the new key")
            desk.done("secret", "delete", "TOKEN")
            until(lambda: "TOKEN" in told(running, called), "the call that lacks its secret")
            assert VALUE not in running.log + running.out.read_text()
        files = [path for path in desk.directory.rglob("*") if path.is_file() and path.name != "value"]
        assert [path for path in files if VALUE.encode() in path.read_bytes()] == []


def test_without_the_key_file_a_gateway_says_so_and_serves_everything_else(desk: Desk) -> None:
    with rest.in_a_thread() as called:
        (desk.directory / "a.yaml").write_text(DOCUMENT.replace("URL", called.url))
        desk.done("config", "apply", "a.yaml")
        desk.done("secret", "set", "TOKEN", given=VALUE)
        away = desk.key_file.rename(desk.key_file.with_name("away"))
        with gateway(desk.directory, desk.url, "--poll", "0.2", env=desk.environment) as running:
            assert "TOKEN" in told(running, called)
            assert f"The secret default/TOKEN cannot be opened: there is no key file {desk.key_file}" in status(running)
            assert "cannot be opened; the log says which" in get(f"{running.url}/readyz").text
            assert "default/TOKEN cannot be opened" in running.log
            away.rename(desk.key_file)
            until(lambda: told(running, called) == VALUE, "the secret that can be opened again")
            assert status(running) == ""
            assert get(f"{running.url}/readyz").text == "ready\n"
            # What was opened stays so, and a copy of the store on the disk is sealed.
            desk.key_file.chmod(0o644)
            desk.done("key", "create", "other")
            running.reload()
            assert told(running, called) == VALUE
            assert status(running) == ""


def test_the_environment_wins_over_the_store(desk: Desk) -> None:
    with rest.in_a_thread() as called:
        (desk.directory / "a.yaml").write_text(DOCUMENT.replace("URL", called.url))
        desk.done("config", "apply", "a.yaml")
        desk.done("secret", "set", "TOKEN", given=VALUE)
        with gateway(
            desk.directory, desk.url, env=desk.environment | {"PORTICO_SECRET_TOKEN": "of-this-machine"}
        ) as running:
            assert told(running, called) == "of-this-machine"


def test_no_second_key_file_is_made_for_secrets_of_another(desk: Desk) -> None:
    desk.done("secret", "set", "ONE", given=VALUE)
    found = desk("secret", "set", "TWO", given=VALUE, PORTICO_KEY_FILE="other.key")
    assert found.returncode == 2
    assert "their key file is not other.key. Bring it here" in found.stderr
    assert not (desk.directory / "other.key").exists()
    found = desk("secret", "list", "--json", PORTICO_KEY_FILE="other.key")
    assert [each["opens"] for each in json.loads(found.stdout)] == [False]


def test_a_secret_that_cannot_be_opened_stays_as_it_is(desk: Desk) -> None:
    desk.done("secret", "set", "ONE", given=VALUE)
    first = desk.key_file.read_bytes()
    desk.done("secret", "rekey")
    desk.key_file.write_bytes(first)
    found = desk("secret", "rekey", "--drop", "--json")
    assert found.returncode == 1
    said = json.loads(found.stdout)
    assert (said["sealed"], said["dropped"], len(said["keys"])) == (0, [], 2)
    assert "default/ONE cannot be opened" in said["failed"][0]


@pytest.mark.parametrize(
    ("arguments", "given", "said"),
    [
        (["set", "A-B"], "x", "cannot be the name of a secret"),
        (["set", "A"], "", "the secret is empty"),
        (["set", "A"], "x" * 65_537, "larger than 64 KiB"),
        (["set", "A", "--from", "gone"], "", "gone: No such file"),
        (["delete", "GONE"], "", "there is no secret GONE"),
        (["rekey"], "", "portico secret set makes one"),
        (["set", "A", "--tenant", "Not One"], "x", "cannot be the name of a tenant"),
        (["list", "--store", "files:gone"], "", "the directory gone cannot be read"),
    ],
)
def test_what_cannot_be_done_is_said_in_one_line(desk: Desk, arguments: list[str], given: str, said: str) -> None:
    found = desk("secret", *arguments, given=given)
    assert found.returncode == 2
    assert said in found.stderr
    assert len(found.stderr.splitlines()) == 1
