"""What people do with the documents and keys of a store on the command line, and what a gateway makes of it."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.e2e.conversation import BOTH, modern_request, result_of
from tests.e2e.desk import Desk
from tests.e2e.processes import Gateway, gateway, post, until
from tests.fakes.databases import STORES, made

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(180)]


def document(marker: str, name: str = "a", prefix: str = "/a", more: str = "") -> str:
    return f"""# As it was written.
version: 1
name: {name}
routers: [{{prefix: {prefix}, server: a{more}}}]
servers: [{{name: a}}]
resources: [{{uri: "test://{marker}", name: marker, text: "{marker}"}}]
"""


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    found = Desk(f"sqlite:{tmp_path}/a.db", tmp_path)
    found.done("migrate")
    return found


@pytest.fixture(params=STORES)
def any_desk(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Desk]:
    with made(request.param, tmp_path) as kind:
        found = Desk(kind.url, tmp_path)
        found.done("migrate")
        yield found


def served(running: Gateway, key: str = "") -> list[str] | int:
    asked = modern_request("resources/list")
    asked["headers"] |= {"accept": BOTH} | ({"x-api-key": key} if key else {})
    answer = post(f"{running.url}/a/mcp", **asked)
    return [each["uri"] for each in result_of(answer)["resources"]] if answer.status_code == 200 else answer.status_code


def test_what_is_applied_rolled_back_and_deleted_is_served_at_once(any_desk: Desk) -> None:
    desk = any_desk
    first = document("first")
    assert "a: version 1" in desk.done("config", "apply", desk.write("a.yaml", first))
    token = "a-token-of-the-admin-listener"
    settings = ["--poll", "3600", "--copy", "off", "--admin-token", token]
    with gateway(desk.directory, desk.url, *settings) as running:
        notify = running.admin.replace("http://", f"http://{token}@")
        assert served(running) == ["test://first"]
        shown = desk.done("config", "apply", desk.write("a.yaml", document("second")), notify=notify)
        assert "-resources:" in shown
        assert "+resources:" in shown
        until(lambda: served(running) == ["test://second"], "the change")
        desk.done("config", "rollback", "a", "1", notify=notify)
        until(lambda: served(running) == ["test://first"], "the rollback")
        desk.done("config", "delete", "a", notify=notify)
        until(lambda: served(running) == 404, "the deletion")
        desk.done("config", "rollback", "a", "2", notify=notify)
        until(lambda: served(running) == ["test://second"], "what was deleted is back")
    assert desk.done("config", "get", "a") == document("second")
    actions = [each["action"] for each in desk.data("config", "versions", "a")]  # type: ignore[attr-defined]
    assert actions == ["rollback", "delete", "rollback", "apply", "apply"]
    assert "test://first" in desk.done("config", "diff", "a", "1")
    assert desk.done("config", "diff", "a", "2") == ""
    assert "test://first" in desk.done("config", "diff", "a", "1", "a.yaml")
    assert desk.done("config", "diff", "a", "a.yaml") == ""


LOCAL = pytest.mark.parametrize("any_desk", ["sqlite", "files"], indirect=True)


@LOCAL
def test_what_has_an_error_changes_nothing(any_desk: Desk) -> None:
    desk = any_desk
    desk.done("config", "apply", desk.write("a.yaml", document("first")))
    bad = desk.write("b.yaml", document("first", "b").replace("server: a", "server: nobody"))
    other = desk.write("c.yaml", document("third", "c", "/c"))
    found = desk("config", "apply", other, bad)
    assert found.returncode == 1
    assert "b.yaml:4:" in found.stdout
    taken = desk("config", "apply", desk.write("d.yaml", document("x", "d", "/a")))
    assert taken.returncode == 1
    assert ("default/a" if desk.url.startswith("sqlite:") else "a.yaml") in taken.stdout
    stranger = desk("config", "apply", desk.write("e.yaml", document("x", "e", "/e") + "tenant: acme\n"))
    assert stranger.returncode == 1
    assert "tenant" in stranger.stdout
    assert [each["name"] for each in desk.data("config", "list")] == ["a"]  # type: ignore[attr-defined]


def test_what_is_the_same_is_no_new_version(desk: Desk) -> None:
    file = desk.write("a.yaml", document("first"))
    desk.done("config", "apply", file)
    assert "a: version 1, unchanged" in desk.done("config", "apply", file)
    assert len(desk.data("config", "versions", "a")) == 1  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["config", "get", "gone"], "there is no document gone"),
        (["config", "rollback", "a", "9"], "no text of version 9"),
        (["config", "rollback", "a", "x"], "is no number of a version"),
        (["config", "apply", "gone.yaml"], "gone.yaml: No such file"),
        (["key", "revoke", "gone"], "no key gone"),
        (["config", "list", "--store", "files:gone"], "the directory gone cannot be read"),
        (["config", "list", "--store", "sqlite:gone.db"], "portico migrate --store"),
    ],
)
def test_what_cannot_be_done_is_said_in_one_line(desk: Desk, arguments: list[str], said: str) -> None:
    desk.done("config", "apply", desk.write("a.yaml", document("first")))
    found = desk(*arguments)
    assert found.returncode == 2
    assert said in found.stderr
    assert len(found.stderr.splitlines()) == 1


def test_what_was_exported_can_be_applied(desk: Desk) -> None:
    text = document("first")
    desk.done("config", "apply", desk.write("a.yaml", text))
    desk.done("config", "export", "out")
    assert (desk.directory / "out/a.yaml").read_text() == text
    desk.done("config", "export", "out")
    (desk.directory / "out/a.yaml").write_text("mine")
    assert desk("config", "export", "out").returncode == 1
    assert (desk.directory / "out/a.yaml").read_text() == "mine"


@LOCAL
def test_a_key_of_the_store_opens_an_endpoint_until_it_is_revoked(any_desk: Desk) -> None:
    desk = any_desk
    guarded = document("first", more=", auth: {mode: apiKey}")
    desk.done("config", "apply", desk.write("a.yaml", guarded))
    with gateway(desk.directory, desk.url, "--poll", "0.1", "--copy", "off") as running:
        assert served(running) == 401
        key = desk.done("key", "create", "ci").strip()
        elsewhere = desk.done("key", "create", "other", "--endpoint", "/b").strip()
        desk.done("key", "create", "foreign", "--tenant", "acme")
        until(lambda: served(running, key) == ["test://first"], "the key opens")
        assert served(running, elsewhere) == 401
        assert served(running, "pk_" + "x" * 43) == 401
        desk.done("key", "revoke", "ci")
        until(lambda: served(running, key) == 401, "the key opens nothing more")
        said = running.log + running.out.read_text()
    used = {each["name"]: each["lastUsed"] for each in desk.data("key", "list")}  # type: ignore[attr-defined]
    assert used["ci"]
    assert not used["other"]
    shown = desk.done("key", "list")
    assert [line.split()[:1] for line in shown.splitlines()[1:]] == [["ci"], ["other"]]
    assert "revoked" in shown
    assert key not in shown + said
