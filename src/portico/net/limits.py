"""What one outbound call may cost. Times are seconds, sizes are bytes."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ClientLimits:
    connect: float = 5.0  # all addresses, the proxy's handshake and TLS together
    first_byte: float = 30.0  # from the last progress of writing the request to the first byte of the answer
    idle: float = 30.0  # how long an unused connection is kept; servers close theirs after 60 to 75 s
    queue: float = 2.0  # waiting for a connection when all of an origin's are in use
    connections: int = 256  # per origin
    in_flight: int = 512  # requests under way and callers waiting for a connection, per origin
    retries: float = 0.2  # repeated requests for each request, per origin
    breaker_failures: int = 5  # connect failures, resets or timeouts in a row after which an origin is left alone
    breaker_pause: float = 30.0  # for how long, times the number of times in a row that this was needed …
    breaker_most: float = 300.0  # … and at most
    origins: int = 1024  # origins that are remembered; beyond it, those without a connection are forgotten
    body: int = 8 * 1024 * 1024  # decoded
    ratio: int = 100  # decoded bytes per encoded byte
    ratio_grace: int = 64 * 1024  # decoded bytes that no ratio is asked of, so that a small page of blanks passes
    head: int = 64 * 1024  # everything before the body, informational answers included
    headers: int = 200
    stream_buffer: int = 256 * 1024  # undelivered bytes of a streamed answer, before reading pauses
