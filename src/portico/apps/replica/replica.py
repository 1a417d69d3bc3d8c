"""A replica: what it is called, and which of its workers reports."""

from __future__ import annotations

import secrets
import socket

import msgspec

from portico import __version__
from portico.apps.replica.part import Minute, part, standing
from portico.apps.replica.report import Part, Report, joined
from portico.apps.replica.reporter import Reporter
from portico.apps.world import World

ASK = 3.0
"""Seconds for the parts of the other workers; one that hangs is missing, and the report says so."""


def replica_name() -> str:
    """Unique, and known to whoever looks for the machine."""
    return f"{socket.gethostname()[:63]}-{secrets.token_hex(4)}"


def reporter_of(world: World, minute: Minute) -> Reporter | None:
    """None where another worker reports, and where the store keeps no reports."""
    place, replicas = world.place, world.replicas
    if replicas is None or place.number != 0 or not place.replica:
        return None
    about = Report(
        version=__version__,
        host=socket.gethostname(),
        address=_address(place.public),
        workers=world.settings.workers,
    )
    began = world.clock()

    async def make() -> Report:
        if place.peers is None:
            parts = [await part(world, minute)]
        else:
            answers = await world.peers.ask_all("replica", patience=ASK)
            parts = [msgspec.convert(answer, Part) for answer in answers]
        return joined(parts, msgspec.structs.replace(about, uptime=round(world.clock() - began, 1)))

    return Reporter(place.replica, replicas, make, lambda: standing(world), world.clock)


def _address(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
