"""`portico doctor`: says of each part of an installation whether it is well, and how to mend what is not."""

import json
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.e2e.clocks import HOUR, wrong_clock
from tests.e2e.desk import Desk
from tests.e2e.processes import gateway
from tests.e2e.test_notify import TOKEN
from tests.fakes import redis_server
from tests.fakes.databases import KINDS, made
from tests.fakes.net_certificates import Authority
from tests.fakes.ports import free_port, free_ports

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(120)]

PASSWORD = "a-password-of"
DOCUMENT = """
version: 1
name: a
values: {base: "http://localhost:9"}
routers: [{prefix: /a, server: a}]
servers: [{name: a}]
tools:
  - {name: known, request: {url: "{{ values.base }}/known"}}
  - {name: late, args: [{name: host, in: body}], request: {url: "http://127.0.0.1/{{ args.host }}"}}
mcpServers: {b: {url: "http://127.0.0.2:9/mcp"}}
"""


class Doctor:
    """Asked about a gateway on free ports."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk
        port, admin = free_ports(2)
        self.ports = ["--port", str(port), "--admin", f"127.0.0.1:{admin}"]

    def __call__(self, *more: str, code: int, **environment: str) -> dict[str, dict[str, Any]]:
        """The last finding of each part; the password of a database is never in one."""
        done = self.desk("doctor", *self.ports, *more, "--json", **environment)
        assert done.returncode == code, done.stdout + done.stderr
        assert PASSWORD not in done.stdout + done.stderr
        found = json.loads(done.stdout)
        assert all(bool(each["mend"]) == (each["state"] == "wrong") for each in found)
        return {each["part"]: each for each in found}

    def wrong(self, *more: str, **environment: str) -> tuple[str, str, str]:
        """The one thing that is wrong: its part, what is said, how to mend it."""
        found = self(*more, code=1, **environment).values()
        ((part, says, mend),) = [(each["part"], each["says"], each["mend"]) for each in found if each["mend"]]
        return part, says, mend


@pytest.fixture(params=KINDS)
def any_doctor(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Doctor]:
    with made(request.param, tmp_path) as kind:
        yield Doctor(Desk(kind.url, tmp_path))


@pytest.fixture
def doctor(tmp_path: Path) -> Doctor:
    found = Doctor(Desk(f"sqlite:{tmp_path}/a.db", tmp_path))
    found.desk.done("migrate")
    return found


def test_what_is_well_and_what_a_database_needs_is_said(any_doctor: Doctor, tmp_path: Path) -> None:
    doctor, desk = any_doctor, any_doctor.desk
    part, _, mend = doctor.wrong()
    assert part == "schema"
    assert mend.startswith("Run portico migrate --store ")
    desk.done("migrate")
    desk.done("config", "apply", desk.write("a.yaml", DOCUMENT))
    desk.done("secret", "set", "TOKEN", given="a-token")
    found = doctor(code=0)
    assert list(found) == [
        *("port", "admin", "store", "schema", "clock", "key file"),
        *("egress", "documents", "hosts", "notifier"),
    ]
    assert "1 documents" in found["store"]["says"]
    assert "opens all 1 secrets" in found["key file"]["says"]
    assert found["hosts"]["says"].startswith("all 3 ")
    for seconds, which in ((HOUR, "behind"), (-HOUR, "ahead of")):
        part, says, mend = doctor.wrong(**wrong_clock(tmp_path, seconds))
        assert part == "clock"
        assert f" s {which} this machine" in says
        assert "NTP" in mend
    lines = desk.done("doctor", *doctor.ports).splitlines()
    assert lines[-1] == "Nothing is wrong."
    assert {line.split()[0] for line in lines[:-1]} == {"ok"}


def test_a_database_that_does_not_answer_is_said(tmp_path: Path) -> None:
    doctor = Doctor(Desk(f"postgresql://portico:{PASSWORD}@127.0.0.1:{free_port()}/a", tmp_path))
    part, says, mend = doctor.wrong()
    assert part == "store"
    assert "portico:***@127.0.0.1" in says
    assert "whether the database runs" in mend
    doctor = Doctor(Desk(f"files:{tmp_path}/gone", tmp_path))
    assert doctor.wrong()[0] == "store"


def test_sealed_secrets_beside_files_need_their_key_file_too(tmp_path: Path) -> None:
    (tmp_path / "documents").mkdir()
    doctor = Doctor(Desk(f"files:{tmp_path}/documents", tmp_path))
    assert "key file" not in doctor(code=0)
    without_file(doctor.desk)
    assert doctor.wrong()[0] == "key file"


def set_secret(desk: Desk) -> None:
    desk.done("secret", "set", "TOKEN", given="a-token")


def without_file(desk: Desk) -> None:
    set_secret(desk)
    desk.key_file.unlink()


def readable_by_others(desk: Desk) -> None:
    set_secret(desk)
    desk.key_file.chmod(0o644)


def another_key(desk: Desk) -> None:
    without_file(desk)
    other = Desk(f"sqlite:{desk.directory}/other.db", desk.directory)
    other.done("migrate")
    set_secret(other)


@pytest.mark.parametrize(
    ("happened", "said", "mend"),
    [
        (without_file, "is not there, and 1 secrets are sealed", "Bring it here"),
        (readable_by_others, "mode 644", "chmod 600"),
        (another_key, "default/TOKEN", "Bring the file that they were sealed with"),
    ],
)
def test_a_key_file_that_opens_nothing_is_said(
    doctor: Doctor, happened: Callable[[Desk], None], said: str, mend: str
) -> None:
    happened(doctor.desk)
    found = doctor.wrong()
    assert found[0] == "key file"
    assert said in found[1]
    assert mend in found[2]


def test_a_port_that_another_program_holds_is_said(doctor: Doctor) -> None:
    with socket.create_server(("127.0.0.1", 0)) as holder:
        port = str(holder.getsockname()[1])
        part, says, mend = doctor.wrong("--port", port)
    assert (part, "in use" in says, "--port" in mend) == ("port", True, True)
    # The two listeners cannot have the same one either.
    assert doctor.wrong("--port", doctor.ports[3].partition(":")[2])[0] == "admin"


@pytest.mark.parametrize(
    ("egress", "text", "said", "mend"),
    [
        ("public,127.0.0.2", DOCUMENT.replace("127.0.0.1/", "localhost/"), "localhost leads to", "--egress"),
        ("127.0.0.2,localhost", DOCUMENT.replace("localhost:9", "nobody.invalid"), "nobody.invalid could not", "DNS"),
        ("any", DOCUMENT.replace("server: a", "server: gone"), "1 of 1 have errors", "portico check"),
    ],
)
def test_what_no_call_would_reach_is_said(tmp_path: Path, egress: str, text: str, said: str, mend: str) -> None:
    directory = tmp_path / "documents"
    directory.mkdir()
    (directory / "a.yaml").write_text(text.replace("127.0.0.1/", "127.0.0.2/"))
    found = Doctor(Desk(f"files:{directory}", tmp_path)).wrong("--egress", egress)
    assert said in found[1]
    assert mend in found[2]


def test_a_certificate_that_does_not_work_is_said(doctor: Doctor) -> None:
    part, says, _ = doctor.wrong("--tls-cert", "gone.pem", "--tls-key", "gone.key")
    assert (part, "gone.pem" in says) == ("tls", True)


def test_a_gateway_that_speaks_tls_is_found_and_its_certificate_is_looked_at(doctor: Doctor, tmp_path: Path) -> None:
    tls = ["--tls-cert", str(tmp_path / "chain.pem"), "--tls-key", str(tmp_path / "key.pem")]
    for days in (1, -1):
        chain, key, _ = Authority(tmp_path).issue(days=days)
        Path(tls[1]).write_bytes(chain)
        Path(tls[3]).write_bytes(key)
        if days < 0:
            assert "expired on" in doctor.wrong(*tls)[1]
            continue
        with gateway(tmp_path, doctor.desk.url, *tls, "--copy", "off", admin=doctor.ports[3]) as running:
            found = doctor("--port", running.address.partition(":")[2], *tls, code=0)
        assert "a gateway answers" in found["port"]["says"]
        assert "works" in found["tls"]["says"]


def test_notifiers_are_reached_and_told_nothing(doctor: Doctor, tmp_path: Path) -> None:
    desk, pidfile = doctor.desk, str(tmp_path / "pid")
    desk.done("config", "apply", desk.write("a.yaml", DOCUMENT))
    port, admin = doctor.ports[1], doctor.ports[3]
    with redis_server.single(tmp_path) as (_, hub):
        listening = ["--notify", hub, "--admin-token", TOKEN, "--pidfile", pidfile, "--poll", "3600", "--copy", "off"]
        with gateway(tmp_path, desk.url, *listening, admin=admin) as running:
            reloads = running.status()[0]["reloads"]
            port = running.address.partition(":")[2]
            urls = [f"signal:{pidfile}", f"http://{TOKEN}@{admin}", hub]
            told = [part for url in urls for part in ("--notify", url)]
            found = doctor("--port", port, "--admin-token", TOKEN, *told, code=0)
            assert "a gateway of Portico answers" in found["port"]["says"]
            assert "a gateway of Portico answers" in found["admin"]["says"]
            (worker,) = running.status()
            assert (worker["reloads"], worker["notifiers"][0]["heard"]) == (reloads, 0)
            wrong = doctor.wrong("--port", port, "--admin-token", TOKEN, "--notify", f"http://not-{TOKEN}@{admin}")
            assert "answered 401" in wrong[1]
        for url in urls:
            part, says, mend = doctor.wrong("--notify", url.replace(hub, "redis://127.0.0.1:1"))
            assert part == "notifier"
            assert "polling" in mend
            assert TOKEN not in says
