"""The certificate of the public listener: read from two files, tried before it serves, and read anew when they change.

Every handshake asks which certificate is the present one. So a change touches no connection that is open, and a pair of
files that does not work is never shown to a client.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import ssl
import time
from pathlib import Path
from typing import NoReturn

log = logging.getLogger("portico.certificate")

# Two files are seldom written at once: what has just changed is looked at again before it is read.
SETTLED = 0.2
# OpenSSL's X509_V_FLAG_NO_CHECK_TIME: whether it has expired is judged here, in our words.
_NO_CHECK_TIME = 0x200000

Stamp = tuple[tuple[int, int, int] | None, ...]


class CertificateError(Exception):
    """The files cannot serve; the message says which, why, and how to mend it."""


class Certificate:
    """`chain` holds the certificate and what leads from it to an authority, `key` its private key, both in PEM.

    `context` is the listener's and stays the same object, whatever it shows. CertificateError when the files do not
    work; that the certificate has expired is only said, for whoever starts the gateway to judge.
    """

    def __init__(self, chain: Path, key: Path) -> None:
        self._chain = chain
        self._key = key
        self._tried = self._look()
        self._problem: str | None = None
        self.context, self._until = self._load()
        self._present = self.context
        # Called in every handshake, also of a client that names no host.
        self.context.sni_callback = self._show

    @property
    def expired(self) -> str | None:
        return _expired(self._chain, self._until)

    async def refresh(self) -> str | None:
        """Read the files if they have changed. What stands against them is returned, and logged once."""
        stamp = await asyncio.to_thread(self._look)
        if stamp == self._tried:
            return self._problem
        self._tried = stamp
        try:
            context, until = await asyncio.to_thread(self._load)
            if expired := _expired(self._chain, until):
                raise CertificateError(expired)
        except CertificateError as error:
            self._problem = f"{self._chain}: error: {error} The certificate before it goes on serving."
            log.error("%s", self._problem)
        else:
            self._problem, self._present, self._until = None, context, until
            log.info("New connections get the certificate that is now in %s, good until %s.", self._chain, _day(until))
        return self._problem

    async def watch(self, poll: float) -> None:
        """Look every `poll` seconds, for ever."""
        while True:
            await asyncio.sleep(poll)
            before = self._tried
            while (seen := await asyncio.to_thread(self._look)) != before:
                before = seen
                await asyncio.sleep(SETTLED)
            await self.refresh()

    def _show(self, connection: ssl.SSLSocket | ssl.SSLObject, name: str | None, outer: ssl.SSLContext) -> None:
        if self._present is not outer:
            connection.context = self._present

    def _look(self) -> Stamp:
        return tuple(_stamp(path) for path in (self._chain, self._key))

    def _load(self) -> tuple[ssl.SSLContext, float]:
        """A context with the certificate, and until when that is good."""
        _judge(self._chain, b"-----BEGIN CERTIFICATE-----", "certificate")
        _judge(self._key, b"PRIVATE KEY-----", "private key")
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.set_alpn_protocols(["http/1.1"])
        try:
            context.load_cert_chain(self._chain, self._key, password=self._no_password)
            return context, _rehearse(context, self._chain)
        except ssl.SSLError as error:
            if error.reason == "KEY_VALUES_MISMATCH":
                message = f"{self._key} is not the key of the certificate in {self._chain}. Give the pair."
            else:
                message = f"{self._chain} and {self._key} do not work: {error.reason or 'their PEM is damaged'}."
            raise CertificateError(message) from None
        except OSError as error:
            raise CertificateError(f"{self._chain} or {self._key} cannot be read: {error.strerror}.") from None

    def _no_password(self) -> NoReturn:
        raise CertificateError(f"{self._key} is encrypted, and there is nobody to ask for its password. Decrypt it.")


def _judge(path: Path, mark: bytes, what: str) -> None:
    try:
        found = mark in path.read_bytes()
    except OSError as error:
        raise CertificateError(f"The {what} {path} cannot be read: {error.strerror}.") from None
    if not found:
        raise CertificateError(f"{path} holds no {what} in PEM.")


def _rehearse(context: ssl.SSLContext, chain: Path) -> float:
    """Shake hands with a client in memory that trusts this very certificate: what it cannot take, none can."""
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.check_hostname = False
    client.load_verify_locations(chain)
    client.verify_flags |= ssl.VerifyFlags.VERIFY_X509_PARTIAL_CHAIN | _NO_CHECK_TIME
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    asks = client.wrap_bio(to_client, to_server)
    answers = context.wrap_bio(to_server, to_client, server_side=True)
    # Two turns each are needed; one that is done already has nothing left to do.
    for side in (asks, answers) * 3:
        with contextlib.suppress(ssl.SSLWantReadError):
            side.do_handshake()
    certificate = asks.getpeercert() or {}
    return float(ssl.cert_time_to_seconds(str(certificate["notAfter"])))


def _expired(chain: Path, until: float) -> str | None:
    return f"The certificate in {chain} expired on {_day(until)}. Renew it." if until <= time.time() else None


def _day(seconds: float) -> str:
    return time.strftime("%Y-%m-%d", time.gmtime(seconds))


def _stamp(path: Path) -> tuple[int, int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino
