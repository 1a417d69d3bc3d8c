"""The first words to an upstream in each era, and what its answers tell about the eras it speaks.

Specification 2026-07-28, basic/versioning and the transports' pages on backward compatibility.
"""

from __future__ import annotations

import msgspec

from portico import __version__
from portico.net.errors import Rejected
from portico.upstream.mcp import envelope as envelope
from portico.upstream.mcp.upstream import Hello, Outcome
from portico.wire import errors, versions

VERSION = versions.MODERN[0]
INITIALIZED = envelope.notification("notifications/initialized", None)

_encode = msgspec.json.encode
_SELF = {"name": "portico", "version": __version__}
_DISCOVER = _encode(
    {
        "_meta": {
            "io.modelcontextprotocol/protocolVersion": VERSION,
            "io.modelcontextprotocol/clientInfo": _SELF,
            "io.modelcontextprotocol/clientCapabilities": {},
        }
    }
)
OWN_HELLO = Hello(versions.LATEST_LEGACY, b"{}", b"")
DISCOVER_HEADERS = {"MCP-Protocol-Version": VERSION, "Mcp-Method": "server/discover"}

# What a server answers to `initialize` when it does not know the handshake; anything else is a failure of its own.
_NO_HANDSHAKE = frozenset(
    (
        errors.UNSUPPORTED_VERSION,
        errors.METHOD_NOT_FOUND,
        errors.INVALID_REQUEST,
        errors.INVALID_PARAMS,
        errors.HEADER_MISMATCH,
        errors.MISSING_CAPABILITY,
    )
)


class WrongEra(Rejected):
    """The upstream answered that it does not speak this era."""


def discover(number: int) -> bytes:
    return envelope.request(number, "server/discover", _DISCOVER)


def initialize(number: int, hello: Hello) -> bytes:
    params = b'{"protocolVersion":%b,"capabilities":%b,"clientInfo":%b}'
    filled = params % (_encode(hello.version), hello.capabilities or b"{}", hello.client or _encode(_SELF))
    return envelope.request(number, "initialize", filled)


def discovered(name: str, outcome: Outcome) -> bytes:
    """The result of `server/discover`; WrongEra where the server speaks no modern revision that we do."""
    if outcome.is_error:
        raise WrongEra(f"{name} does not speak {VERSION}: {envelope.message(outcome)}", sent=True)
    result = outcome.member.partition(b":")[2]
    try:
        supported = msgspec.json.decode(result, type=_Discovered).supported_versions
    except (msgspec.MsgspecError, RecursionError) as error:
        raise WrongEra(f"{name} answered server/discover with something else: {error}", sent=True) from None
    if VERSION not in supported:
        raise WrongEra(f"{name} speaks {', '.join(supported) or 'no revision'}, not {VERSION}", sent=True)
    return result


def invites(outcome: Outcome) -> bool:
    """Whether a refusal of our revision names it among those that the server speaks: then it is asked once more
    (versioning: Protocol Version Negotiation)."""
    if not outcome.is_error:
        return False
    try:
        error = msgspec.json.decode(outcome.member.partition(b":")[2], type=_Unsupported)
    except (msgspec.MsgspecError, RecursionError):
        return False
    return error.code == errors.UNSUPPORTED_VERSION and VERSION in error.data.supported


def greeted(name: str, outcome: Outcome) -> tuple[bytes, str]:
    """The result of `initialize` and the version that it settles; WrongEra where the handshake is unknown."""
    if outcome.is_error:
        kind = WrongEra if envelope.code(outcome) in _NO_HANDSHAKE else Rejected
        raise kind(f"{name} refused initialize: {envelope.message(outcome)}", sent=True)
    result = outcome.member.partition(b":")[2]
    try:
        return result, msgspec.json.decode(result, type=_Greeting).protocol_version
    except (msgspec.MsgspecError, RecursionError) as error:
        raise Rejected(f"{name} answered initialize with something else: {error}", sent=True) from None


class _Discovered(msgspec.Struct, rename="camel"):
    supported_versions: list[str]


class _Greeting(msgspec.Struct, rename="camel"):
    protocol_version: str


class _Supported(msgspec.Struct):
    supported: list[str]


class _Unsupported(msgspec.Struct):
    code: int
    data: _Supported
