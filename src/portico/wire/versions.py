"""The revisions of MCP and the two eras they fall into.

Legacy revisions open a session with a handshake; the modern one is stateless and says everything in each request
(specification 2026-07-28, basic/versioning).
"""

from __future__ import annotations

LEGACY = ("2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25")
MODERN = ("2026-07-28",)
ALL = LEGACY + MODERN
LATEST_LEGACY = LEGACY[-1]
BATCHING = "2025-03-26"
ASSUMED_WITHOUT_HEADER = "2025-03-26"

_LEGACY_BYTES = frozenset(version.encode() for version in LEGACY)


def header_is_modern(value: bytes | None) -> bool:
    """Whether a POST belongs to the modern era: the version header is there and names no legacy revision."""
    return value is not None and value not in _LEGACY_BYTES


def supported(oldest: str) -> list[str]:
    """Every revision from `oldest` on, newest first, as `supportedVersions` lists them."""
    return [version for version in reversed(ALL) if version >= oldest]


def negotiate(requested: str, oldest: str) -> str | None:
    """The legacy revision that `initialize` answers; None when the endpoint has no legacy revision on offer.

    An unknown revision is answered by our latest one (specification 2025-11-25, basic/lifecycle).
    """
    offered = [version for version in LEGACY if version >= oldest]
    if not offered:
        return None
    return requested if requested in offered else offered[-1]
