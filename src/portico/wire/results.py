"""What ends every result: its type and the server's name for modern clients, and the call's id for everybody."""

from __future__ import annotations

from typing import Any

import msgspec

CALL_ID = "portico/callId"
_IDENTITY = ("name", "title", "version")
LEGACY_TAIL = f'"_meta":{{"{CALL_ID}":"'.encode()


def identity(server_info: dict[str, Any]) -> dict[str, Any]:
    """Who a server is, without its pictures and prose, which the greeting alone tells."""
    return {key: server_info[key] for key in _IDENTITY if key in server_info}


def modern_tail(server_info: dict[str, Any]) -> bytes:
    """The last members of an endpoint's modern results, up to the call's id (specification 2026-07-28, basic)."""
    info = msgspec.json.encode(server_info)
    start = b'"resultType":"complete","_meta":{"io.modelcontextprotocol/serverInfo":%b,"%b":"'
    return start % (info, CALL_ID.encode())
