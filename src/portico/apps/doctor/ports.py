"""Where a gateway would listen: whether it could, or a gateway does so already; and what it would show of itself."""

from __future__ import annotations

import asyncio
import socket
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from portico.apps.admin import NoAnswer, ask
from portico.apps.doctor.finding import Finding
from portico.apps.sockets import listen
from portico.gateway.ingress.certificate import Certificate, CertificateError
from portico.settings import Settings

PATIENCE = 3.0
EVERYWHERE = {"0.0.0.0": "127.0.0.1", "::": "[::1]", "[::]": "[::1]"}


async def ports(settings: Settings) -> list[Finding]:
    held: list[socket.socket] = []
    try:
        # Each is held until the other was tried: they may not be the same.
        found = [await _port(held, "port", settings.host, settings.port, "")]
        if settings.admin_address is not None:
            found.append(await _port(held, "admin", *settings.admin_address, settings.admin_token))
    finally:
        for listener in held:
            listener.close()
    return [*_by_tls(settings, found), *_certificate(settings)]


async def _port(held: list[socket.socket], name: str, host: str, port: int, token: str) -> Finding:
    where = f"{host}:{port}"
    try:
        held.append(listen(host, port))
    except OSError as error:
        if await _is_portico(f"{EVERYWHERE.get(host, host)}:{port}", token):
            return Finding(name, f"a gateway of Portico answers at {where} already")
        return Finding(name, str(error), f"End what holds it, or choose another place with --{name}")
    return Finding(name, f"{where} is free" if port else "a free port will be taken")


async def _is_portico(where: str, token: str) -> bool:
    with suppress(NoAnswer, TimeoutError):
        async with asyncio.timeout(PATIENCE):
            return (await ask(where, token, "GET", "/livez")).strip() == b"alive"
    return False


def _by_tls(settings: Settings, found: list[Finding]) -> list[Finding]:
    """A listener that speaks TLS is asked nothing, because its certificate is for another name than the one that is
    at hand here. The gateway's other listener says enough."""
    public, *others = found
    if settings.tls_cert and public.mend and any("answers" in other.says for other in others):
        return [replace(public, says="it is held, and a gateway answers at the admin listener", mend=""), *others]
    return found


def _certificate(settings: Settings) -> list[Finding]:
    if not settings.tls_cert:
        return []
    try:
        expired = Certificate(Path(settings.tls_cert), Path(settings.tls_key)).expired
    except CertificateError as error:
        return [Finding("tls", str(error).removesuffix("."), "Give --tls-cert and --tls-key that belong together")]
    if expired is not None:
        return [Finding("tls", expired.removesuffix("."), "Clients refuse it until then")]
    return [Finding("tls", f"the certificate in {settings.tls_cert} works")]
