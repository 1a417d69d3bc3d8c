"""`auth` of a router: who may use its endpoint. As in document.py, this is the schema and nothing else."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from portico.config.fields import NAME, Model, Moment, Patterns, Seconds

AUTH_MODES = ("none", "apiKey", "jwt")
SCOPE = r"^[!#-\[\]-~]{1,128}$"
ALGORITHMS = (
    *("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"),
    *("ES256", "ES384", "ES512", "EdDSA"),
)


class AuthKey(Model):
    """An API key that this endpoint takes, under its hash."""

    name: str = Field(pattern=NAME, description="For the log; the key itself is never shown.")
    hash: str = Field(description="The key's SHA-256 in hexadecimal digits, as portico key hash prints it.")
    expires: Moment | None = Field(default=None, description="From when on it is refused; a date alone is 00:00 UTC.")
    tools: Patterns | None = Field(
        default=None, description="Tools that it may use: get_* allows, !get_secret denies and wins. All where absent."
    )


class Auth(Model):
    mode: str = Field(
        default="none", description="Who may use the endpoint.", json_schema_extra={"enum": list(AUTH_MODES)}
    )
    keys: list[AuthKey] = Field(
        default=[], max_length=1_000, description="apiKey: these, beside those of the store for the tenant."
    )
    issuer: str | None = Field(default=None, description="jwt: who gives the tokens out, as their claim iss says it.")
    jwks: str | None = Field(default=None, description="jwt: the URL of the issuer's public keys.")
    audience: str | Annotated[list[str], Field(min_length=1, max_length=20)] | None = Field(
        default=None, description="jwt: what tokens must be meant for (claim aud), such as this endpoint's URL."
    )
    algorithms: list[Literal[ALGORITHMS]] = Field(  # type: ignore[valid-type]
        default=["RS256", "ES256"], min_length=1, description="jwt: how tokens may be signed."
    )
    leeway: Annotated[float, Seconds, Field(ge=0, le=300, allow_inf_nan=False)] = Field(
        default=30.0, description="jwt: how far the issuer's clock may be from ours.", examples=["30s"]
    )
    principal: str = Field(
        default="sub", min_length=1, max_length=128, description="jwt: the claim that says who somebody is."
    )
    scopes: dict[Annotated[str, Field(pattern=SCOPE)], Patterns] | None = Field(
        default=None,
        max_length=64,
        description="jwt: tools by scope of the token; who has none of the scopes may do nothing. All tools where "
        "absent.",
        examples=[{"tools:read": ["get_*"]}],
    )
