"""The params of a message, decoded once into one struct that serves every method we answer ourselves."""

from __future__ import annotations

from typing import Any

import msgspec

from portico.wire import errors
from portico.wire.errors import RpcError

UNSET = msgspec.UNSET
Unset = msgspec.UnsetType


class Meta(msgspec.Struct):
    """`_meta` of a request (specification 2026-07-28, basic: Per-request protocol fields)."""

    progress_token: int | str | Unset = msgspec.field(default=UNSET, name="progressToken")
    version: str | Unset = msgspec.field(default=UNSET, name="io.modelcontextprotocol/protocolVersion")
    capabilities: dict[str, Any] | Unset = msgspec.field(
        default=UNSET, name="io.modelcontextprotocol/clientCapabilities"
    )
    client: dict[str, Any] | Unset = msgspec.field(default=UNSET, name="io.modelcontextprotocol/clientInfo")
    log_level: str | Unset = msgspec.field(default=UNSET, name="io.modelcontextprotocol/logLevel")
    traceparent: str | Unset = UNSET
    tracestate: str | Unset = UNSET


class Named(msgspec.Struct):
    name: str
    value: str = ""


class Reference(msgspec.Struct):
    type: str
    name: str | Unset = UNSET
    uri: str | Unset = UNSET


class Context(msgspec.Struct):
    arguments: dict[str, str] | Unset = UNSET


class Filter(msgspec.Struct, rename="camel", omit_defaults=True):
    """What `subscriptions/listen` asks for (specification 2026-07-28, patterns/subscriptions)."""

    tools_list_changed: bool = False
    prompts_list_changed: bool = False
    resources_list_changed: bool = False
    resource_subscriptions: list[str] = []


class Params(msgspec.Struct, rename="camel"):
    meta: Meta | Unset = msgspec.field(default=UNSET, name="_meta")
    name: str | Unset = UNSET
    uri: str | Unset = UNSET
    arguments: dict[str, Any] | Unset | None = UNSET
    cursor: str | Unset | None = UNSET
    ref: Reference | Unset = UNSET
    argument: Named | Unset = UNSET
    context: Context | Unset = UNSET
    level: str | Unset = UNSET
    request_id: int | str | Unset = UNSET
    reason: str | Unset = UNSET
    notifications: Filter | Unset = UNSET
    request_state: Any = UNSET
    protocol_version: str | Unset = UNSET
    capabilities: dict[str, Any] | Unset = UNSET
    client_info: dict[str, Any] | Unset = UNSET

    def needed(self, field: str) -> Any:
        """The value of a field that the method cannot do without, or RpcError."""
        value = getattr(self, field)
        if value is UNSET or value is None:
            raise RpcError(errors.INVALID_PARAMS, f"The params lack `{field}`.")
        return value


_decoder = msgspec.json.Decoder(Params)
NOTHING = Params()


class PlainCall(msgspec.Struct, forbid_unknown_fields=True):
    """The params of `tools/call` as far as the short way understands them (see transport/rest_shortcut.py)."""

    name: str
    arguments: dict[str, Any] | Unset | None = UNSET
    meta: Meta | Unset = msgspec.field(default=UNSET, name="_meta")


class PlainRelayedCall(msgspec.Struct, forbid_unknown_fields=True):
    """The same for a call that is relayed: what the arguments are, the upstream says."""

    name: str
    arguments: msgspec.Raw | Unset = UNSET
    meta: Meta | Unset = msgspec.field(default=UNSET, name="_meta")


class PlainList(msgspec.Struct, forbid_unknown_fields=True):
    """The params of a list from its beginning on."""

    meta: Meta | Unset = msgspec.field(default=UNSET, name="_meta")


_plain_relayed_decoder = msgspec.json.Decoder(PlainRelayedCall)
_plain_decoder = msgspec.json.Decoder(PlainCall)
_plain_list_decoder = msgspec.json.Decoder(PlainList)


def decode_plain_call(raw: bytes) -> PlainCall | None:
    try:
        return _plain_decoder.decode(raw)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
        return None


def decode_plain_relayed_call(raw: bytes) -> PlainRelayedCall | None:
    try:
        return _plain_relayed_decoder.decode(raw)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
        return None


def decode_plain_list(raw: bytes) -> PlainList | None:
    try:
        return _plain_list_decoder.decode(raw)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
        return None


def able_of(meta: Meta | Unset) -> dict[str, Any]:
    """What a modern client says that it can do."""
    return {} if meta is UNSET or meta.capabilities is UNSET else meta.capabilities


class _Envelope(msgspec.Struct, rename="camel"):
    meta: Meta | Unset = msgspec.field(default=UNSET, name="_meta")
    request_state: Any = UNSET


def decode_loosely(raw: msgspec.Raw | Unset) -> Params:
    """What can be read of the params of a method that is not ours to judge: at least `_meta`
    and `requestState`."""
    try:
        return decode_params(raw)
    except RpcError:
        try:
            found = msgspec.json.decode(raw, type=_Envelope) if raw is not UNSET else NOTHING
            return Params(meta=found.meta, request_state=found.request_state)
        except msgspec.MsgspecError:
            return NOTHING


def decode_params(raw: msgspec.Raw | Unset) -> Params:
    """The params, or RpcError with INVALID_PARAMS that names the member at fault."""
    if raw is UNSET:
        return NOTHING
    try:
        return _decoder.decode(raw)
    except msgspec.ValidationError as error:
        raise RpcError(errors.INVALID_PARAMS, f"The params do not fit: {error}") from None
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise RpcError(errors.PARSE_ERROR, f"The params are not JSON: {error}") from None
