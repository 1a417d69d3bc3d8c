"""HTTPS on the public listener: who gets in, with which certificate, and what a renewal does to open connections."""

import signal
import socket
import ssl
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from urllib.parse import urlsplit

import anyio
import httpx
import httpx2
import pytest
from cryptography import x509
from mcp.client.client import Client
from mcp.client.sse import sse_client
from mcp.client.streamable_http import streamable_http_client
from tests.e2e.commands import run
from tests.e2e.conversation import BOTH, ask, eventually, listening, shake_hands, sse
from tests.e2e.processes import WAIT, Demo, Gateway, demo, gateway, write
from tests.fakes.net_certificates import Authority

pytestmark = [pytest.mark.e2e, pytest.mark.anyio, pytest.mark.timeout(120)]

DOCUMENT = """
version: 1
name: a
routers: [{{prefix: /a, server: a}}]
servers: [{{name: a}}]
resources: [{{uri: "test://a", name: a, text: "{text}"}}]
tools:
  - name: wait
    description: Answers after some seconds.
    args: [{{name: seconds, in: query, type: number, default: 0}}]
    request: {{url: "{base}/slow"}}
{more}
"""
MORE = '  - {name: more, description: "One more tool.", request: {url: "http://127.0.0.1:9"}}'
CALL = {"name": "wait", "arguments": {}}


class Pair:
    """The two files that a gateway is given, and what is in them."""

    def __init__(self, directory: Path, authority: Authority) -> None:
        self.authority = authority
        self.chain, self.key = directory / "tls.crt", directory / "tls.key"
        self.serial = self.renew()

    @property
    def flags(self) -> list[str]:
        return ["--tls-cert", str(self.chain), "--tls-key", str(self.key)]

    def renew(self, days: float = 1) -> int:
        """Replace both files; returns the serial number of the new certificate."""
        certificate, key, self.serial = self.authority.issue(days=days)
        write(self.chain, certificate)
        write(self.key, key)
        return self.serial


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture
def pair(tmp_path: Path, authority: Authority) -> Pair:
    return Pair(tmp_path, authority)


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    with demo(tmp_path_factory.mktemp("demo")) as found:
        yield found


@pytest.fixture
def documents(tmp_path: Path, service: Demo) -> Path:
    directory = tmp_path / "documents"
    directory.mkdir()
    write(directory / "a.yaml", DOCUMENT.format(base=service.url, text="one", more=""))
    return directory


@pytest.fixture
async def stack() -> AsyncIterator[AsyncExitStack]:
    async with AsyncExitStack() as found:
        yield found


@pytest.fixture
async def http(stack: AsyncExitStack, authority: Authority) -> httpx.AsyncClient:
    return await stack.enter_async_context(trusting(authority))


def trusting(authority: Authority) -> httpx.AsyncClient:
    """One connection, whose server has to show a certificate of this authority."""
    limits = httpx.Limits(max_connections=1)
    return httpx.AsyncClient(
        verify=authority.client, limits=limits, timeout=WAIT, trust_env=False, headers={"accept": BOTH}
    )


def shaken(running: Gateway, context: ssl.SSLContext, name: str = "localhost") -> ssl.SSLSocket:
    """A connection after its handshake."""
    plain = socket.create_connection(("127.0.0.1", urlsplit(running.url).port or 0), WAIT)
    return context.wrap_socket(plain, server_hostname=name)


def shown(running: Gateway, authority: Authority, name: str = "localhost") -> int:
    """The serial number of the certificate that a new connection is shown."""
    with shaken(running, authority.client, name) as connected:
        certificate = connected.getpeercert(binary_form=True)
    assert certificate
    return x509.load_der_x509_certificate(certificate).serial_number


def shown_by_all(running: Gateway, authority: Authority, connections: int = 20) -> set[int]:
    """Of so many connections that no worker is left out."""
    return {shown(running, authority) for _ in range(connections)}


# Getting in -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("workers", ["1", "2"])
async def test_clients_of_every_kind_speak_https(
    tmp_path: Path, documents: Path, pair: Pair, http: httpx.AsyncClient, stack: AsyncExitStack, workers: str
) -> None:
    with gateway(tmp_path, documents, "--workers", workers, *pair.flags) as running:
        assert running.url.startswith("https://")
        url = f"{running.url}/a/mcp"
        assert (await ask(http, url, "tools/call", CALL))["isError"] is False
        session = await shake_hands(http, url)
        other = await stack.enter_async_context(trusting(pair.authority))
        assert (await session.ask(other, "tools/call", CALL))["isError"] is False
        async with sse(await stack.enter_async_context(trusting(pair.authority)), http, running.url, "/a") as old:
            assert (await old.ask(http, "tools/call", CALL, 60))["isError"] is False
        async with httpx2.AsyncClient(verify=pair.authority.client, timeout=WAIT) as transport:
            for mode in ("auto", "legacy"):
                async with Client(streamable_http_client(url, http_client=transport), mode=mode) as client:
                    assert (await client.call_tool("wait", {})).is_error is False

        def factory(
            headers: dict[str, str] | None = None,
            timeout: httpx2.Timeout | None = None,
            auth: httpx2.Auth | None = None,
        ) -> httpx2.AsyncClient:
            return httpx2.AsyncClient(headers=headers, timeout=timeout, auth=auth, verify=pair.authority.client)

        async with Client(sse_client(f"{running.url}/a/sse", httpx_client_factory=factory), mode="legacy") as client:
            assert (await client.call_tool("wait", {})).is_error is False


async def test_the_page_shows_https_without_being_told(
    tmp_path: Path, documents: Path, pair: Pair, http: httpx.AsyncClient
) -> None:
    with gateway(tmp_path, documents, *pair.flags) as running:
        page = await http.get(f"{running.url}/a", headers={"accept": "text/html"})
        assert page.status_code == 200
        assert f"{running.url}/a/mcp" in page.text
        assert "http://" not in page.text


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion:DeprecationWarning")
def test_tls_is_1_2_or_newer_speaks_http_1_1_and_needs_no_server_name(
    tmp_path: Path, documents: Path, pair: Pair
) -> None:
    with gateway(tmp_path, documents, *pair.flags) as running:
        for renewed in (False, True):
            if renewed:
                pair.renew()
                running.reload()
            for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
                context = pair.authority.client
                context.minimum_version = context.maximum_version = version
                context.set_alpn_protocols(["h2", "http/1.1"])
                with shaken(running, context) as connected:
                    assert connected.selected_alpn_protocol() == "http/1.1"
            old = pair.authority.client
            old.set_ciphers("ALL:@SECLEVEL=0")
            old.minimum_version, old.maximum_version = ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1
            with pytest.raises(ssl.SSLError):
                shaken(running, old)
            # A client that asks for an address sends no name in its handshake.
            assert shown(running, pair.authority, "127.0.0.1") == pair.serial


def test_plain_http_is_no_way_in(tmp_path: Path, documents: Path, pair: Pair) -> None:
    with gateway(tmp_path, documents, *pair.flags) as running:
        with pytest.raises(httpx.TransportError):
            httpx.get(running.url.replace("https", "http") + "/livez", trust_env=False, timeout=WAIT)
        assert shown(running, pair.authority) == pair.serial


# Renewal --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("workers", ["1", "2"])
async def test_a_renewed_certificate_is_for_new_connections_and_open_streams_stay(
    tmp_path: Path,
    documents: Path,
    service: Demo,
    pair: Pair,
    http: httpx.AsyncClient,
    stack: AsyncExitStack,
    workers: str,
) -> None:
    settings = ["--workers", workers, "--poll", "3600", *pair.flags]
    with gateway(tmp_path, documents, *settings) as running:
        url = f"{running.url}/a/mcp"
        modern = await stack.enter_async_context(trusting(pair.authority))
        events = await stack.enter_async_context(listening(modern, url, "l", toolsListChanged=True))
        session = await shake_hands(http, url)
        before = pair.serial
        assert shown_by_all(running, pair.authority) == {before}

        after = pair.renew()
        assert running.reload()["problems"] == []
        assert after != before
        assert shown_by_all(running, pair.authority) == {after}

        # The connections from before, one with a stream and one with a session, do not notice.
        write(documents / "a.yaml", DOCUMENT.format(base=service.url, text="two", more=MORE))
        running.reload()
        assert (await events.message())["method"] == "notifications/tools/list_changed"
        assert (await session.ask(http, "tools/call", CALL))["isError"] is False


@pytest.mark.parametrize("how", ["poll", "SIGHUP"])
async def test_a_renewed_certificate_is_noticed(tmp_path: Path, documents: Path, pair: Pair, how: str) -> None:
    poll = "0.2" if how == "poll" else "3600"
    with gateway(tmp_path, documents, "--workers", "2", "--poll", poll, *pair.flags) as running:
        assert shown_by_all(running, pair.authority) == {pair.serial}
        after = pair.renew()
        if how == "SIGHUP":
            running.process.send_signal(signal.SIGHUP)
        await eventually(lambda: shown_by_all(running, pair.authority, 8) == {after}, "the new certificate")


def broken_by_another_key(pair: Pair) -> None:
    write(pair.key, pair.authority.issue()[1])


def broken_by_garbage(pair: Pair) -> None:
    write(pair.chain, "-----BEGIN CERTIFICATE-----\nxx\n-----END CERTIFICATE-----\n")


def broken_by_absence(pair: Pair) -> None:
    pair.chain.unlink()


def broken_by_age(pair: Pair) -> None:
    pair.renew(days=-1)


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (broken_by_another_key, "is not the key of the certificate"),
        (broken_by_garbage, "do not work"),
        (broken_by_absence, "cannot be read: No such file or directory"),
        (broken_by_age, "expired on"),
    ],
)
def test_a_broken_renewal_is_reported_and_the_old_certificate_goes_on(
    tmp_path: Path, documents: Path, pair: Pair, spoil: object, words: str
) -> None:
    assert callable(spoil)
    before = pair.serial
    with gateway(tmp_path, documents, "--poll", "3600", *pair.flags) as running:
        spoil(pair)
        for _ in range(2):
            (problem,) = running.reload()["problems"]
            assert words in problem
            assert "The certificate before it goes on serving." in problem
        assert shown_by_all(running, pair.authority, 3) == {before}
        assert len([line for line in running.messages if words in line]) == 1
        asked = run("reload", "--admin", running.admin.removeprefix("http://"))
        assert asked.returncode == 1
        assert words in asked.stdout

        after = pair.renew()
        assert running.reload()["problems"] == []
        assert shown_by_all(running, pair.authority, 3) == {after}


# What does not work from the start ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("workers", "spoil", "words"),
    [
        ("1", broken_by_another_key, ["tls.key is not the key of the certificate in", "tls.crt", "Give the pair."]),
        ("1", broken_by_garbage, ["tls.crt", "do not work"]),
        ("1", broken_by_absence, ["The certificate", "tls.crt cannot be read: No such file or directory."]),
        ("2", broken_by_absence, ["The certificate", "tls.crt cannot be read: No such file or directory."]),
        ("2", broken_by_age, ["tls.crt expired on 20", "Renew it."]),
    ],
)
def test_files_that_do_not_work_are_refused_at_the_start(
    documents: Path, pair: Pair, workers: str, spoil: object, words: list[str]
) -> None:
    assert callable(spoil)
    spoil(pair)
    ended = run("gateway", "--store", f"files:{documents}", "--port", "0", "--workers", workers, *pair.flags)
    assert ended.returncode == 2
    assert "Traceback" not in ended.stderr
    assert [word for word in words if word not in ended.stderr] == []


@pytest.mark.parametrize("given", ["--tls-cert", "--tls-key"])
def test_one_file_without_the_other_is_refused(documents: Path, given: str) -> None:
    ended = run("gateway", "--store", f"files:{documents}", given, "some.pem")
    (other,) = {"--tls-cert", "--tls-key"} - {given}
    assert ended.returncode == 2
    assert f"{given} (from flag) needs {other} too." in ended.stderr


# The end --------------------------------------------------------------------------------------------------------------


async def test_an_idle_client_that_never_answers_does_not_hold_the_end(
    tmp_path: Path, documents: Path, pair: Pair
) -> None:
    """A connection over TLS is closed by both sides; one of them may have gone to sleep, or never finish its
    handshake."""
    with gateway(tmp_path, documents, *pair.flags) as running:
        idle = shaken(running, pair.authority.client)
        idle.sendall(b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert b"200 OK" in idle.recv(4096)
        with idle, socket.create_connection(("127.0.0.1", urlsplit(running.url).port or 0)):
            assert await anyio.to_thread.run_sync(lambda: running.end(within=8)) == 0
