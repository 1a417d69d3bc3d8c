"""A listener that speaks TLS, on the event loop that the gateway runs on: what a client can hold, and for how long."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from tests.fakes.net_certificates import Authority

from portico.apps.sockets import listen
from portico.gateway.exchange import Headers, Outlet, Reply, Request
from portico.gateway.ingress.certificate import Certificate, CertificateError
from portico.gateway.ingress.listener import Listener, Patience

pytestmark = pytest.mark.anyio

SOON = 5.0


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, bool]]:
    return "asyncio", {"use_uvloop": True}


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture
def certificate(tmp_path: Path, authority: Authority) -> Certificate:
    pem, key, _ = authority.issue()
    (tmp_path / "both.pem").write_bytes(pem + key)
    return Certificate(tmp_path / "both.pem", tmp_path / "both.pem")


class Flood:
    """A stream that writes for as long as somebody listens."""

    def __init__(self) -> None:
        self.gone = asyncio.Event()

    def attach(self, outlet: Outlet) -> None:
        self._outlet = outlet
        self._more()

    def detach(self) -> None:
        self.gone.set()

    def _more(self) -> None:
        if not self.gone.is_set():
            self._outlet.write(bytes(256 * 1024))
            asyncio.get_running_loop().call_later(0.001, self._more)


class Handler:
    def __init__(self) -> None:
        self.flood = Flood()

    async def handle(self, request: Request) -> Reply:
        return Reply(200, stream=self.flood) if request.path == b"/flood" else Reply(200, request.scheme.encode())


class Anybody:
    def client(self, peer: str, scheme: str, headers: Headers) -> tuple[str, str, bool]:
        return peer, scheme, False


@asynccontextmanager
async def listening(
    certificate: Certificate, limits: Patience, handler: Handler
) -> AsyncIterator[tuple[Listener, int]]:
    opened = listen("127.0.0.1", 0)
    listener = Listener(handler, Anybody(), 1024, limits, certificate.context)
    await listener.begin(opened)
    try:
        yield listener, opened.getsockname()[1]
    finally:
        await listener.end(SOON)


async def connect(port: int, context: ssl.SSLContext | None) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    name = "localhost" if context is not None else None
    return await asyncio.open_connection("127.0.0.1", port, ssl=context, server_hostname=name)


async def test_the_scheme_of_a_request_is_https(certificate: Certificate, authority: Authority) -> None:
    async with listening(certificate, Patience(), Handler()) as (_, port):
        reader, writer = await connect(port, authority.client)
        writer.write(b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        assert (await asyncio.wait_for(reader.read(), SOON)).endswith(b"\r\n\r\nhttps")
        writer.close()


@pytest.mark.parametrize("sent", [b"", b"\x16\x03\x01\x02\x00\x01"], ids=["nothing", "the beginning of a hello"])
async def test_a_handshake_that_takes_too_long_is_cut_and_leaves_nothing(certificate: Certificate, sent: bytes) -> None:
    async with listening(certificate, Patience(handshake=0.2), Handler()) as (listener, port):
        reader, writer = await connect(port, None)
        writer.write(sent)
        assert await asyncio.wait_for(reader.read(), SOON) == b""
        assert len(listener) == 0
        writer.close()


async def test_a_handshake_that_fails_leaves_nothing(certificate: Certificate) -> None:
    async with listening(certificate, Patience(), Handler()) as (listener, port):
        reader, writer = await connect(port, None)
        writer.write(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        await asyncio.wait_for(reader.read(), SOON)
        with pytest.raises(ssl.SSLCertVerificationError):
            await connect(port, ssl.create_default_context())
        assert len(listener) == 0
        writer.close()


async def test_a_client_that_says_nothing_after_its_handshake_is_left(
    certificate: Certificate, authority: Authority
) -> None:
    async with listening(certificate, Patience(first_byte=0.1), Handler()) as (_, port):
        reader, writer = await connect(port, authority.client)
        assert await asyncio.wait_for(reader.read(), SOON) == b""
        writer.close()


async def test_a_reader_that_stalls_over_tls_is_cut(certificate: Certificate, authority: Authority) -> None:
    handler = Handler()
    async with listening(certificate, Patience(reader=60.0), handler) as (_, port):
        reader, writer = await connect(port, authority.client)
        reader._transport.pause_reading()  # type: ignore[attr-defined]
        writer.write(b"GET /flood HTTP/1.1\r\nHost: localhost\r\n\r\n")
        await asyncio.wait_for(handler.flood.gone.wait(), SOON)
        writer.transport.abort()


# The files ------------------------------------------------------------------------------------------------------------


def test_a_key_with_a_password_is_refused_without_asking_for_it(tmp_path: Path, authority: Authority) -> None:
    pem, key, _ = authority.issue()
    secret = serialization.load_pem_private_key(key, None).private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(b"password"),
    )
    (tmp_path / "tls.crt").write_bytes(pem)
    (tmp_path / "tls.key").write_bytes(secret)
    with pytest.raises(CertificateError, match="is encrypted"):
        Certificate(tmp_path / "tls.crt", tmp_path / "tls.key")


def test_files_in_each_others_place_are_told_apart(tmp_path: Path, authority: Authority) -> None:
    pem, key, _ = authority.issue()
    (tmp_path / "tls.crt").write_bytes(pem)
    (tmp_path / "tls.key").write_bytes(key)
    with pytest.raises(CertificateError, match=r"tls\.key holds no certificate in PEM"):
        Certificate(tmp_path / "tls.key", tmp_path / "tls.crt")


async def test_files_that_kubernetes_swaps_are_noticed(tmp_path: Path, authority: Authority) -> None:
    """A mounted Secret is links through `..data`, which is itself a link that is replaced."""
    serials = []
    for version in ("..1", "..2"):
        (tmp_path / version).mkdir()
        pem, key, serial = authority.issue()
        (tmp_path / version / "tls.crt").write_bytes(pem)
        (tmp_path / version / "tls.key").write_bytes(key)
        serials.append(serial)
    (tmp_path / "..data").symlink_to("..1")
    for name in ("tls.crt", "tls.key"):
        (tmp_path / name).symlink_to(f"..data/{name}")
    certificate = Certificate(tmp_path / "tls.crt", tmp_path / "tls.key")
    async with listening(certificate, Patience(), Handler()) as (_, port):
        assert await shown(port, authority) == serials[0]
        (tmp_path / "..new").symlink_to("..2")
        (tmp_path / "..new").rename(tmp_path / "..data")
        assert await certificate.refresh() is None
        assert await shown(port, authority) == serials[1]


async def shown(port: int, authority: Authority) -> int:
    _, writer = await connect(port, authority.client)
    der = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    writer.close()
    return x509.load_der_x509_certificate(der).serial_number
