"""Tenants of a database by the command line: who has what, and which prefix is whose."""

from pathlib import Path

import pytest
from tests.e2e.conversation import BOTH, modern_request
from tests.e2e.desk import Desk
from tests.e2e.processes import Gateway, gateway, post, until

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(120)]


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    found = Desk(f"sqlite:{tmp_path}/a.db", tmp_path)
    found.done("migrate")
    return found


def apply(desk: Desk, tenant: str, prefix: str) -> int:
    name = prefix.strip("/").replace("/", "-")
    text = f"version: 1\nname: {name}\ntenant: {tenant}\n"
    text += f"routers: [{{prefix: {prefix}, server: a}}]\nservers: [{{name: a}}]\n"
    return desk("config", "apply", desk.write(f"{name}.yaml", text), "--tenant", tenant).returncode


def shown(desk: Desk) -> list[tuple[object, ...]]:
    return [(each["name"], each["prefix"], each["documents"]) for each in desk.data("tenant", "list")]  # type: ignore[attr-defined]


def answers(running: Gateway, prefix: str) -> int:
    asked = modern_request("tools/list")
    asked["headers"]["accept"] = BOTH
    return post(f"{running.url}{prefix}/mcp", **asked).status_code


def test_a_prefix_is_one_tenants_alone(desk: Desk) -> None:
    assert "acme: created" in desk.done("tenant", "create", "acme", "--prefix", "/acme")
    assert apply(desk, "acme", "/acme/a") == 0
    assert apply(desk, "acme", "/far") == 1
    assert apply(desk, "default", "/acme/b") == 1
    assert apply(desk, "default", "/free/a") == 0
    assert shown(desk) == [("acme", "/acme", 1), ("default", "", 1)]
    # Nobody's endpoint is taken away by somebody who comes later.
    for arguments, said in (
        (("create", "late", "--prefix", "/free"), "default/free-a"),
        (("create", "late", "--prefix", "/acme"), "is owned by the tenant acme"),
        (("prefix", "acme", "/other"), "acme/acme-a"),
    ):
        refused = desk("tenant", *arguments)
        assert refused.returncode == 1
        assert said in refused.stdout
        assert "Nothing was changed." in refused.stdout
    assert "is there already" in desk("tenant", "create", "acme").stderr
    assert "acme: owns no prefix" in desk.done("tenant", "prefix", "acme")
    assert apply(desk, "default", "/acme/b") == 0
    assert shown(desk) == [("acme", "", 1), ("default", "", 2)]


@pytest.mark.parametrize(
    "prefix", ["/", "acme", "/acme/", "/a b", "/api", "/.well-known/a", "/a/../b", "/" + "a" * 200]
)
def test_what_cannot_be_a_prefix_is_refused(desk: Desk, prefix: str) -> None:
    refused = desk("tenant", "create", "acme", "--prefix", prefix)
    assert refused.returncode == 2
    assert "cannot be the prefix of a tenant" in refused.stderr
    assert shown(desk) == []


def test_a_tenant_that_is_removed_is_served_no_more(desk: Desk) -> None:
    assert apply(desk, "acme", "/a") == 0
    assert apply(desk, "default", "/b") == 0
    desk.done("key", "create", "k", "--tenant", "acme")
    with gateway(desk.directory, desk.url, "--poll", "0.2", "--copy", "off") as running:
        assert answers(running, "/a") == 200
        refused = desk("tenant", "delete", "acme")
        assert refused.returncode == 2
        assert "still has 1 documents, 1 API keys. Remove them first, or with --force." in refused.stderr
        assert answers(running, "/a") == 200
        assert "acme: deleted" in desk.done("tenant", "delete", "acme", "--force")
        until(lambda: answers(running, "/a") == 404, "the endpoint is gone")
        assert answers(running, "/b") == 200
    assert shown(desk) == [("default", "", 1)]
    assert desk("tenant", "delete", "acme").returncode == 2
    assert desk("tenant", "prefix", "acme", "/a").returncode == 2
