"""Tokens of an issuer (JWT), verified with its public keys: signature, algorithm, issuer, audience and times.

Only asymmetric algorithms exist here, and a key verifies those of its own kind only, so that a token cannot choose to
be checked with a public key as a secret. What was verified is remembered under the token's hash for CHECKED seconds at
most, so that a token costs one look-up a call.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import jwt

from portico.auth.principal import Principal, Refused
from portico.auth.web_key import WebKey
from portico.config.patterns import Patterns, compile_patterns

CHECKED = 300.0
MOST_TOKENS = 4_096
MOST_BYTES = 16 * 1024
MOST_NAME = 256
KINDS = {
    **dict.fromkeys(("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"), "RSA"),
    **dict.fromkeys(("ES256", "ES384", "ES512"), "EC"),
    "EdDSA": "OKP",
}
"""Algorithms, and the kind of key of each."""


class PublicKeys(Protocol):
    async def keys(self, kid: str | None) -> tuple[WebKey, ...]:
        """Those that may have signed a token with this key id, or Refused when nothing is known of them."""
        ...


@dataclass(frozen=True, slots=True)
class TokenRules:
    """What a document says of tokens. `scopes` are patterns of tools by scope; None allows every good token all."""

    issuer: str
    audiences: tuple[str, ...]
    algorithms: tuple[str, ...]
    leeway: float = 0.0
    claim: str = "sub"
    scopes: Mapping[str, tuple[str, ...]] | None = None


class TokenGuard:
    """See Guard for what the methods promise. `clock` tells seconds since 1970."""

    takes_api_key_header = False

    def __init__(self, rules: TokenRules, jwks: PublicKeys, clock: Callable[[], float] = time.time) -> None:
        self._rules = rules
        self._jwks = jwks
        self._clock = clock
        self._checked: dict[bytes, tuple[Principal, float]] = {}
        self._patterns: dict[tuple[str, ...], Patterns] = {}
        self.how = f"Send an access token of {rules.issuer}: Authorization: Bearer …."
        self.issuer = rules.issuer
        self.audience = rules.audiences[0]
        self.scopes = tuple(rules.scopes or ())

    def known(self, credential: str) -> Principal | None:
        found = self._checked.get(hashlib.sha256(credential.encode()).digest())
        if found is None:
            return None
        principal, checked = found
        now = self._clock()
        return principal if now < principal.until and 0 <= now - checked < CHECKED else None

    async def verify(self, credential: str) -> Principal:
        known = self.known(credential)
        if known is not None:
            return known
        if len(credential) > MOST_BYTES:
            raise Refused("The token is too long.")
        algorithm, kid = self._head(credential)
        keys = [
            key.key
            for key in await self._jwks.keys(kid)
            if key.kind == KINDS[algorithm] and key.algorithm in (None, algorithm)
        ]
        if not keys:
            raise Refused("The token is signed with a key that its issuer does not publish.")
        principal = self._principal(self._claims(credential, algorithm, keys))
        self._remember(credential, principal)
        return principal

    def still(self, principal: Principal) -> Principal | None:
        mine = principal.id.startswith(f"token {self._rules.issuer} ")
        return principal if mine and principal.until > self._clock() else None

    def _head(self, token: str) -> tuple[str, str | None]:
        try:
            head = jwt.get_unverified_header(token)
        except jwt.PyJWTError:
            raise Refused("The credential is no token (JWT).") from None
        algorithm, kid = head.get("alg"), head.get("kid")
        if algorithm not in self._rules.algorithms or algorithm not in KINDS:
            raise Refused(f"The token's algorithm is not one of {', '.join(self._rules.algorithms)}.")
        if kid is not None and not isinstance(kid, str):
            raise Refused("The token's key id is no text.")
        return algorithm, kid

    def _claims(self, token: str, algorithm: str, keys: list[Any]) -> dict[str, Any]:
        rules, failure = self._rules, "no key fits"
        for key in keys:
            try:
                return jwt.decode(
                    token,
                    key,
                    algorithms=[algorithm],
                    issuer=rules.issuer,
                    audience=list(rules.audiences),
                    leeway=rules.leeway,
                    options={"require": ["exp", "iss", "aud", rules.claim]},
                )
            except jwt.InvalidSignatureError:
                failure = "its signature is wrong"
            except jwt.PyJWTError as error:
                raise Refused(f"The token is not valid here: {_words(error)}.") from None
        raise Refused(f"The token is not valid here: {failure}.")

    def _principal(self, claims: Mapping[str, Any]) -> Principal:
        rules = self._rules
        name, until = claims[rules.claim], float(claims["exp"]) + rules.leeway
        if not isinstance(name, str) or not 0 < len(name) <= MOST_NAME or not name.isprintable():
            raise Refused(f"The token's claim {rules.claim} does not name anybody.")
        return Principal(f"token {rules.issuer} {rules.claim} {name}", name, self._tools(claims), until)

    def _tools(self, claims: Mapping[str, Any]) -> Patterns | None:
        scopes = self._rules.scopes
        if scopes is None:
            return None
        granted = _granted(claims)
        mine = tuple(scope for scope in scopes if scope in granted)
        if not mine:
            raise Refused("The token has none of the scopes that allow something here.", tuple(scopes))
        if mine not in self._patterns:
            if len(self._patterns) >= 256:
                self._patterns.clear()
            self._patterns[mine] = compile_patterns(dict.fromkeys(text for scope in mine for text in scopes[scope]))
        return self._patterns[mine]

    def _remember(self, token: str, principal: Principal) -> None:
        if len(self._checked) >= MOST_TOKENS:
            now = self._clock()
            self._checked = {
                key: (known, at) for key, (known, at) in self._checked.items() if known.until > now > at > now - CHECKED
            }
            if len(self._checked) >= MOST_TOKENS:
                self._checked.clear()
        self._checked[hashlib.sha256(token.encode()).digest()] = (principal, self._clock())


def _granted(claims: Mapping[str, Any]) -> frozenset[str]:
    """Scopes as RFC 9068 writes them, or as a list, under either of the usual names."""
    found: set[str] = set()
    for name in ("scope", "scp"):
        value = claims.get(name)
        if isinstance(value, str):
            found.update(value.split())
        elif isinstance(value, list):
            found.update(each for each in value if isinstance(each, str))
    return frozenset(found)


def _words(error: Exception) -> str:
    """What is wrong, without the token's own text."""
    for kind, words in (
        (jwt.ExpiredSignatureError, "it has expired"),
        (jwt.ImmatureSignatureError, "it is not valid yet"),
        (jwt.InvalidIssuerError, "it comes from another issuer"),
        (jwt.InvalidAudienceError, "it is meant for another audience"),
        (jwt.MissingRequiredClaimError, "it lacks one of the claims exp, iss and aud, or the one that names its user"),
    ):
        if isinstance(error, kind):
            return words
    return "it cannot be read"
