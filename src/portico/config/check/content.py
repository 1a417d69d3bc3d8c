"""Judges what clients are shown: content blocks, icons and base64."""

from __future__ import annotations

import base64
import binascii
from typing import Any

from portico.config.check.findings import Findings
from portico.config.document import Described
from portico.config.positions import Path
from portico.config.problem import quoted

# Fields of each kind of block: those that must be there, and those that may. (MCP schema, ContentBlock)
BLOCKS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "text": (("text",), ()),
    "image": (("data", "mimeType"), ()),
    "audio": (("data", "mimeType"), ()),
    "resource": (("resource",), ()),
    "resource_link": (("uri", "name"), ("title", "description", "mimeType", "size", "icons")),
}
_ALWAYS = ("type", "annotations", "_meta")
_EMBEDDED = ("uri", "mimeType", "text", "blob", "_meta")
_SHAPE = "Write {type: text, text: …}, or one of image, audio, resource and resource_link"


def judge_block(path: Path, block: dict[str, Any], findings: Findings) -> None:
    """One content block, as far as it is no template."""
    kind = block.get("type")
    if not isinstance(kind, str) or kind not in BLOCKS:
        mend = findings.suggest(kind, BLOCKS, _SHAPE) if isinstance(kind, str) else _SHAPE
        findings.error((*path, "type"), "bad-content-block", f"a content block has no type {quoted(kind)}", mend)
        return
    required, optional = BLOCKS[kind]
    _fields(path, block, f"content of type {kind}", required, (*required, *optional, *_ALWAYS), findings)
    if "data" in required:
        judge_base64((*path, "data"), block.get("data"), findings)
    if kind == "resource" and "resource" in block:
        _embedded((*path, "resource"), block["resource"], findings)


def judge_described(path: Path, thing: Described, findings: Findings) -> None:
    for index, icon in enumerate(thing.icons or []):
        if not icon.src.startswith(("https://", "data:")):
            findings.error(
                (*path, "icons", index, "src"),
                "bad-icon",
                f"the icon {quoted(icon.src)} is neither https: nor data:",
                "Give an https:// address, or the picture itself as data:image/png;base64,…",
            )


def judge_base64(path: Path, data: Any, findings: Findings) -> None:
    """Text that should be base64, unless it is a template."""
    if not isinstance(data, str) or "{{" in data:
        return
    try:
        base64.b64decode("".join(data.split()), validate=True)
    except (binascii.Error, ValueError):
        findings.error(
            path, "bad-base64", "this is not base64", "Encode the bytes as base64 (A-Z a-z 0-9 + / and = at the end)"
        )


def _embedded(path: Path, resource: Any, findings: Findings) -> None:
    if isinstance(resource, str) and "{{" in resource:
        return
    if not isinstance(resource, dict):
        findings.error(path, "bad-content-block", "an embedded resource is a mapping", "Write {uri: …, text: …}")
        return
    _fields(path, resource, "an embedded resource", ("uri",), _EMBEDDED, findings)
    if ("text" in resource) == ("blob" in resource):
        findings.error(
            path, "bad-content-block", "an embedded resource has either text or blob", "Write one of `text` and `blob`"
        )
    judge_base64((*path, "blob"), resource.get("blob"), findings)


def _fields(
    path: Path,
    mapping: dict[str, Any],
    what: str,
    required: tuple[str, ...],
    known: tuple[str, ...],
    findings: Findings,
) -> None:
    for name in required:
        value = mapping.get(name)
        if value is None:
            findings.error((*path, name), "bad-content-block", f"{what} needs {quoted(name)}", f"Add `{name}: …`")
        elif name != "resource" and not isinstance(value, str):
            mend = "Put quotes around it"
            findings.error((*path, name), "bad-content-block", f"{quoted(name)} of {what} should be text", mend)
    for name in mapping:
        if name not in known:
            mend = findings.suggest(name, known, "Remove it")
            findings.error((*path, name), "unknown-field", f"{what} has no field {quoted(name)}", mend, key=True)
