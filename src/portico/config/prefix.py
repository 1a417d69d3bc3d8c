"""The one form of a prefix by which prefixes are compared and requests are matched."""

from __future__ import annotations


def canonical_prefix(prefix: str) -> str:
    """Without a slash at the end; the prefix of the root is the empty string. Letter case counts, as in every URL."""
    return prefix.rstrip("/")
