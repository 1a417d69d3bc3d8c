"""Settings → the limits of each part of a worker."""

from __future__ import annotations

import resource

from portico.gateway.ingress.heads import HeadLimits
from portico.gateway.ingress.listener import Patience
from portico.gateway.protocol.admission import CallLimits
from portico.gateway.protocol.bridge.parking import ParkingLimits
from portico.gateway.session.memory import SessionLimits
from portico.net.limits import ClientLimits
from portico.settings import Settings


def patience(settings: Settings) -> Patience:
    return Patience(
        handshake=settings.limit_handshake,
        first_byte=settings.limit_first_byte,
        head=settings.limit_head,
        body=settings.limit_body_time,
        body_idle=settings.limit_body_pause,
        idle=settings.limit_idle,
        reader=settings.limit_reader,
        unread=settings.limit_unread,
    )


def heads(settings: Settings) -> HeadLimits:
    return HeadLimits(settings.limit_url, settings.limit_headers, settings.limit_header_bytes)


def peer_heads(settings: Settings) -> HeadLimits:
    """What a client may send, and what is added where a request is handed over."""
    return HeadLimits(settings.limit_url, settings.limit_headers + 8, settings.limit_header_bytes + 4096)


def calls(settings: Settings) -> CallLimits:
    return CallLimits(settings.limit_in_flight, settings.limit_in_flight_tenant, settings.limit_in_flight_caller)


def parking(settings: Settings) -> ParkingLimits:
    return ParkingLimits(settings.limit_parked, settings.limit_parked_server, settings.limit_parked_caller)


def sessions(settings: Settings) -> SessionLimits:
    return SessionLimits(
        idle=settings.limit_session_idle,
        lifetime=settings.limit_session_life,
        most=settings.limit_sessions,
        per_principal=settings.limit_sessions_principal,
        per_address=settings.limit_sessions_address,
    )


def client(settings: Settings) -> ClientLimits:
    return ClientLimits(
        connect=settings.limit_connect,
        first_byte=settings.limit_answer,
        queue=settings.limit_upstream_queue,
        connections=settings.limit_upstream_connections,
        in_flight=settings.limit_upstream_in_flight,
        retries=settings.limit_retries,
        breaker_failures=settings.limit_breaker_failures,
        breaker_pause=settings.limit_breaker_pause,
        breaker_most=settings.limit_breaker_most,
        body=settings.limit_answer_body,
        ratio=settings.limit_answer_ratio,
        head=settings.limit_answer_header_bytes,
        headers=settings.limit_answer_headers,
    )


def connections(settings: Settings) -> int:
    """As many as were asked for, if the process may have as many files open; a fifth of those is for other things."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    files = hard if hard != resource.RLIM_INFINITY else settings.limit_connections * 2
    return min(settings.limit_connections, files * 4 // 5)
