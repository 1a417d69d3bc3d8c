"""The public keys that an issuer publishes (JWK sets, RFC 7517)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgspec

MOST_KEYS = 64


@dataclass(frozen=True, slots=True)
class WebKey:
    """One key, as the issuer published it and ready to verify with."""

    kid: str | None
    algorithm: str | None
    kind: str
    key: Any


def read_keys(body: bytes) -> tuple[WebKey, ...]:
    """The keys of a JWK set that can verify signatures; ValueError where it has none. A secret key is never one."""
    import jwt

    try:
        entries = msgspec.json.decode(body, type=_Set).keys
    except (msgspec.MsgspecError, RecursionError) as error:
        raise ValueError(f"its answer is no JWK set: {error}") from None
    keys = []
    for entry in entries[:MOST_KEYS]:
        kind, use = entry.get("kty"), entry.get("use")
        if kind not in ("RSA", "EC", "OKP") or use not in (None, "sig"):
            continue
        try:
            parsed = jwt.PyJWK(entry)
        except (jwt.PyJWTError, ValueError, TypeError, KeyError):
            continue
        if kind == "RSA" and parsed.key.key_size < 2048:
            continue
        kid, algorithm = entry.get("kid"), entry.get("alg")
        keys.append(
            WebKey(
                kid if isinstance(kid, str) else None,
                algorithm if isinstance(algorithm, str) else None,
                kind,
                parsed.key,
            )
        )
    if not keys:
        raise ValueError("its answer has no public key that can verify a signature")
    return tuple(keys)


class _Set(msgspec.Struct):
    keys: list[dict[str, Any]]
