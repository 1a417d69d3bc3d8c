"""What may be the name of something in a store, and how large a text may be."""

from __future__ import annotations

import re

from portico.store.store import MAX_BYTES, MAX_NAME, StoreError

_NAME = re.compile(rf"[a-z0-9][a-z0-9-]{{0,{MAX_NAME - 1}}}")


def is_name(name: str) -> bool:
    return _NAME.fullmatch(name) is not None


def judge_name(kind: str, name: str) -> None:
    """The names of tenants and documents become parts of paths, so nothing else can be one."""
    if not is_name(name):
        raise StoreError(
            f"{name[:100]!r} cannot be the name of a {kind}",
            f"Use lower-case letters, digits and hyphens, {MAX_NAME} characters at most",
        )


def judge_text(name: str, text: bytes) -> None:
    if len(text) > MAX_BYTES:
        raise StoreError(f"the document {name} is larger than 1 MiB", "Split it into several documents")
