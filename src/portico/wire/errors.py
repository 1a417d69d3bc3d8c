"""JSON-RPC errors of MCP, and the one place where a code becomes an HTTP status."""

from __future__ import annotations

from typing import Any

PARSE_ERROR = -32700
INVALID_REQUEST = -32600
METHOD_NOT_FOUND = -32601
INVALID_PARAMS = -32602
INTERNAL_ERROR = -32603
OVERLOADED = -32000
CANCELLED = -32001
RESOURCE_NOT_FOUND = -32002
UNAUTHORIZED = -32003
HEADER_MISMATCH = -32020
MISSING_CAPABILITY = -32021
UNSUPPORTED_VERSION = -32022

_MODERN_STATUS = {
    PARSE_ERROR: 400,
    INVALID_REQUEST: 400,
    METHOD_NOT_FOUND: 404,
    HEADER_MISMATCH: 400,
    MISSING_CAPABILITY: 400,
    UNSUPPORTED_VERSION: 400,
}
_LEGACY_STATUS = {PARSE_ERROR: 400, INVALID_REQUEST: 400}


class RpcError(Exception):
    """An answer that is an error: `code` of JSON-RPC or MCP, a sentence, and optional data.

    `status` overrides the HTTP status that the code would give, for the few cases where the transport decides.
    `retry_after` is in seconds; 0 where trying again would not help.
    """

    def __init__(
        self, code: int, message: str, data: Any = None, *, status: int | None = None, retry_after: int = 0
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.data = data
        self.status = status
        self.retry_after = retry_after

    def http_status(self, modern: bool) -> int:
        """Status of the HTTP reply that carries this error alone (specification 2026-07-28, streamable HTTP)."""
        if self.status is not None:
            return self.status
        return (_MODERN_STATUS if modern else _LEGACY_STATUS).get(self.code, 200)
