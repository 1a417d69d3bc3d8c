"""An issuer of tokens: its keys, what it publishes of them, and tokens good and bad."""

import base64
import json
import time
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

ISSUER = "https://id.example.com"
AUDIENCE = "https://mcp.example.com/tokens/mcp"


@cache
def private(algorithm: str, kid: str) -> Any:
    """Making keys costs more than all else here, so each is made once a process."""
    if algorithm.startswith("ES"):
        return ec.generate_private_key(ec.SECP256R1())
    if algorithm == "EdDSA":
        return ed25519.Ed25519PrivateKey.generate()
    return rsa.generate_private_key(65537, 2048)


@dataclass
class Issuer:
    """`published` are the algorithms by key id."""

    published: dict[str, str] = field(default_factory=lambda: {"r1": "RS256", "e1": "ES256"})

    def document(self) -> bytes:
        return json.dumps({"keys": [self.public(kid, algorithm) for kid, algorithm in self.published.items()]}).encode()

    def public(self, kid: str, algorithm: str) -> dict[str, Any]:
        key = private(algorithm, kid).public_key()
        kind = jwt.get_algorithm_by_name(algorithm)
        return {**kind.to_jwk(key, as_dict=True), "kid": kid, "alg": algorithm, "use": "sig"}

    def token(self, kid: str | None = "r1", algorithm: str = "RS256", *, of: str | None = None, **claims: Any) -> str:
        """`of` is the id of the key that really signs; a claim of None is left out."""
        now = int(time.time())
        settled = {"iss": ISSUER, "aud": AUDIENCE, "sub": "ada", "iat": now, "exp": now + 600, "scope": "all"} | claims
        body = {name: value for name, value in settled.items() if value is not None}
        return jwt.encode(
            body, private(algorithm, of or kid or "r1"), algorithm, headers={"kid": kid} if kid is not None else {}
        )

    def unsigned(self) -> str:
        _, body, _ = self.token().split(".")
        return f"{encoded({'alg': 'none', 'typ': 'JWT', 'kid': 'r1'})}.{body}."

    def signed_with_the_public_key(self) -> str:
        """What a verifier takes that lets a token choose HS256, and has the public key for its secret."""
        import hashlib
        import hmac

        key = private("RS256", "r1").public_key()
        secret = key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        text = f"{encoded({'alg': 'HS256', 'typ': 'JWT', 'kid': 'r1'})}.{self.token().split('.')[1]}"
        return f"{text}.{plain(hmac.new(secret, text.encode(), hashlib.sha256).digest())}"


def encoded(value: Any) -> str:
    return plain(json.dumps(value).encode())


def plain(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
