"""Secrets of a gateway without an apiserver: one file each, `DIR/{tenant}/{NAME}` as Kubernetes mounts them, and the
environment's for the default tenant. They are read at reload and handed to request templates only.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Mapping
from pathlib import Path

MOST_BYTES = 64 * 1024
MOST_SECRETS = 10_000

Secrets = Mapping[str, Mapping[str, str]]
"""By tenant and name."""


class SecretFiles:
    """`directory` may be None. A file wins over the environment. One trailing line break of a file is dropped."""

    def __init__(self, directory: Path | None, environment: Mapping[str, str]) -> None:
        self._directory = directory
        self._environment = dict(environment)

    async def read(self) -> Secrets:
        return await asyncio.to_thread(self._read)

    async def revision(self) -> str:
        """Differs when a secret was added, removed or changed."""
        return await asyncio.to_thread(self._revision)

    def _read(self) -> Secrets:
        found: dict[str, dict[str, str]] = {"default": dict(self._environment)}
        for path in self._paths():
            try:
                data = path.read_bytes()
            except OSError:
                continue
            if len(data) <= MOST_BYTES:
                text = data.decode("utf-8", "replace").removesuffix("\n").removesuffix("\r")
                found.setdefault(path.parent.name, {})[path.name] = text
        return found

    def _revision(self) -> str:
        digest = hashlib.sha256()
        for path in self._paths():
            try:
                stat = path.stat()
            except OSError:
                continue
            digest.update(f"{path}\0{stat.st_ino}\0{stat.st_mtime_ns}\0{stat.st_size}\n".encode())
        return digest.hexdigest()[:16]

    def _paths(self) -> list[Path]:
        if self._directory is None or not self._directory.is_dir():
            return []
        tenants = [path for path in self._directory.iterdir() if path.is_dir() and not path.name.startswith(".")]
        files = [path for tenant in tenants for path in tenant.iterdir() if not path.name.startswith(".")]
        return sorted(path for path in files if path.is_file())[:MOST_SECRETS]
