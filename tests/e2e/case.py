"""An operation of a client, the request that must reach the demo service, and the answer that must come of it."""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Sent:
    """A request as the demo's journal must show it. `body` is text, JSON, or a function of the journal's line."""

    method: str
    path: str
    query: str = ""
    headers: Mapping[str, Any] = field(default_factory=dict)
    body: Any = ""

    def faults(self, line: Mapping[str, Any]) -> list[str]:
        """What is different in a line of the journal."""
        found = []
        for name in ("method", "path", "query"):
            if line[name] != getattr(self, name):
                found.append(f"{name} is {line[name]!r}, not {getattr(self, name)!r}")
        for name, value in self.headers.items():
            if not fits(value, line["headers"].get(name)):
                found.append(f"header {name} is {line['headers'].get(name)!r}, not {value!r}")
        if callable(self.body):
            right = self.body(line)
        elif isinstance(self.body, str):
            right = line.get("body") == self.body
        else:
            kind = line["headers"].get("content-type")
            right = kind == "application/json" and json.loads(line["body"]) == self.body
        return found if right else [*found, f"body is {line.get('body', '(bytes)')!r}, not {self.body!r}"]


@dataclass(frozen=True)
class Case:
    """`result` is what the answer must have, in the words of `fits`; `error` the same of an error of the protocol."""

    endpoint: str
    operation: Mapping[str, Any]
    sent: Sent | None
    result: Any = None
    error: Any = None
    structured: Any = None

    @property
    def name(self) -> str:
        about = self.operation.get("name") or self.operation.get("uri") or ""
        return f"{self.endpoint} {self.operation['op']} {about}".strip()

    def faults(self, answer: Mapping[str, Any], modern: bool | None = None) -> list[str]:
        """What is wrong with a driver's answer. `modern` tells the era, None where it is not known."""
        if self.error is not None:
            return [] if fits(self.error, answer.get("error")) else [f"error is {answer!r}, not {self.error!r}"]
        result = answer.get("result")
        if not fits(self.result, result):
            return [f"the answer is {answer!r}, not {self.result!r}"]
        return self._structured_faults((result or {}).get("structuredContent"), modern)

    def _structured_faults(self, given: Any, modern: bool | None) -> list[str]:
        """Handshake revisions know objects only as structured content."""
        if self.structured is None:
            return [] if given is None else [f"structured content was not expected: {given!r}"]
        optional = not isinstance(self.structured, dict)
        if optional and not modern and given is None:
            return []
        if optional and modern is False:
            return [f"a handshake client got structured content that is no object: {given!r}"]
        return [] if fits(self.structured, given) else [f"structured content is {given!r}, not {self.structured!r}"]


def fits(wanted: Any, given: Any) -> bool:
    """A mapping fits one that has its keys, a pattern fits a text in which it is found, a function says so itself."""
    if isinstance(wanted, re.Pattern):
        return isinstance(given, str) and wanted.search(given) is not None
    if callable(wanted):
        return bool(wanted(given))
    if isinstance(wanted, Mapping):
        return isinstance(given, Mapping) and all(fits(value, given.get(key)) for key, value in wanted.items())
    if isinstance(wanted, list):
        pairs = zip(wanted, given, strict=True) if isinstance(given, list) and len(given) == len(wanted) else None
        return pairs is not None and all(fits(one, other) for one, other in pairs)
    return type(wanted) is type(given) and wanted == given


def json_of(wanted: Any) -> Callable[[Any], bool]:
    """Fits a text that is JSON of this."""

    def same(given: Any) -> bool:
        try:
            return fits(wanted, json.loads(given))
        except (TypeError, ValueError):
            return False

    return same
