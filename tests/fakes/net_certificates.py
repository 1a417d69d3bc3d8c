"""A certificate authority of one test run, and server certificates for `localhost` and 127.0.0.1 from it."""

import datetime
import ipaddress
import ssl
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


class Authority:
    """Its own certificate lies at `file`; `client` is a context that trusts it and nobody else."""

    def __init__(self, folder: Path) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = _name("Test authority")
        certificate = _builder(self._name, self._name, self._key.public_key(), self._key.public_key(), authority=True)
        self.file = folder / "ca.pem"
        self.file.write_bytes(self._sign(certificate))

    @property
    def client(self) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=self.file)

    def issue(self, *, days: float = 1) -> tuple[bytes, bytes, int]:
        """A certificate that is good for so long, its private key, both in PEM, and its serial number."""
        key = ec.generate_private_key(ec.SECP256R1())
        names = x509.SubjectAlternativeName(
            [x509.DNSName("localhost"), x509.DNSName("api.test"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
        )
        subject, issuer_key = _name("localhost"), self._key.public_key()
        certificate = _builder(subject, self._name, key.public_key(), issuer_key, authority=False, days=days)
        certificate = certificate.add_extension(names, critical=False)
        private = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        pem = self._sign(certificate)
        return pem, private, x509.load_pem_x509_certificate(pem).serial_number

    def _sign(self, certificate: x509.CertificateBuilder) -> bytes:
        return certificate.sign(self._key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


def write_ca(folder: Path) -> tuple[str, ssl.SSLContext]:
    """The path of the authority's certificate, and a server's context with a certificate that it signed."""
    authority = Authority(folder)
    certificate, key, _ = authority.issue()
    chain = folder / "server.pem"
    chain.write_bytes(key + certificate)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(chain)
    context.set_alpn_protocols(["h2", "http/1.1"])
    return str(authority.file), context


def _name(common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePublicKey,
    issuer_key: ec.EllipticCurvePublicKey,
    *,
    authority: bool,
    days: float = 1,
) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=2))
        .not_valid_after(now + datetime.timedelta(days=days))
        .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    )
