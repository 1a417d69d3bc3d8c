"""`requestState` as we hand it out: sealed, for it comes back from a client, who may have changed, kept or stolen it.

A state says which worker holds the call that waits, and is bound to its caller, endpoint, server, method and params
(specification 2026-07-28, patterns/mrtr: Server Requirements). Workers share the key, so any of them can open it.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import os
import time
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import msgspec

LIFETIME = 600.0
LONGEST = 16_384
_NONCE = 12
_NOT_SALIENT = ("_meta", "inputResponses", "requestState")
_encode = msgspec.json.Encoder(order="sorted", decimal_format="number").encode
_decode = msgspec.json.Decoder(float_hook=Decimal).decode


class Ticket(msgspec.Struct, array_like=True):
    """`expires` is in seconds since 1970. `state` is a server's own, where ours only says which worker it is for."""

    worker: str
    number: str
    round: int
    expires: float
    bound: bytes
    state: str = ""


class Seal:
    """`key` is what the workers of one gateway share, `worker` this one's name, `clock` the seconds since 1970. What
    was sealed is good for `lifetime` seconds."""

    def __init__(
        self, key: bytes, worker: str, lifetime: float = LIFETIME, clock: Callable[[], float] = time.time
    ) -> None:
        self.worker = worker
        self.lifetime = lifetime
        self._key = key
        self._clock = clock
        self._cipher: Any = None

    def close(self, number: str, round: int, bound: bytes, state: str = "") -> str:
        ticket = Ticket(self.worker, number, round, self._clock() + self.lifetime, bound, state)
        nonce = os.urandom(_NONCE)
        sealed = self._aead().encrypt(nonce, msgspec.msgpack.encode(ticket), None)
        return base64.urlsafe_b64encode(nonce + sealed).decode().rstrip("=")

    def open(self, state: Any) -> Ticket | None:
        """What we sealed not too long ago; None for anything else, whatever it is."""
        if not isinstance(state, str) or not 0 < len(state) <= LONGEST or not state.isascii():
            return None
        from cryptography.exceptions import InvalidTag

        try:
            data = base64.b64decode(state + "=" * (-len(state) % 4), altchars=b"-_", validate=True)
            # Base64 has several spellings of some bytes; only ours is taken.
            if base64.urlsafe_b64encode(data).decode().rstrip("=") != state:
                return None
            ticket = msgspec.msgpack.decode(self._aead().decrypt(data[:_NONCE], data[_NONCE:], None), type=Ticket)
        except (InvalidTag, ValueError, binascii.Error):
            return None
        return ticket if ticket.expires > self._clock() else None

    def _aead(self) -> Any:
        if self._cipher is None:
            # Few gateways ever need it, and it is not free to load.
            from cryptography.hazmat.primitives.ciphers.aead import AESGCM
            from cryptography.hazmat.primitives.hashes import SHA256
            from cryptography.hazmat.primitives.kdf.hkdf import HKDF

            self._cipher = AESGCM(HKDF(SHA256(), 32, None, b"portico requestState").derive(self._key))
        return self._cipher


def binding(principal: str | None, prefix: str, server: str, method: str, params: bytes | None) -> bytes:
    """A digest of whose call it is and what it asks, without what a retry may change. Raises ValueError for params
    that are no object."""
    try:
        found = _decode(params or b"{}")
    except (RecursionError, msgspec.MsgspecError) as error:
        raise ValueError(str(error)) from None
    if not isinstance(found, dict):
        raise ValueError("the params must be an object")
    asked = {name: value for name, value in found.items() if name not in _NOT_SALIENT}
    return hashlib.sha256(_encode([principal, prefix, server, method, asked])).digest()[:16]
