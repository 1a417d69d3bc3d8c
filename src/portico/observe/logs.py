"""The process's log on standard error: text for people, JSON for machines. Secrets are redacted where it is written."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Iterable

import msgspec

from portico.observe.access_log import printable

_LEAST_SECRET = 6
_plain = logging.Formatter()


class Redactor(logging.Filter):
    """Replaces every known secret in every line. Very short ones are left alone: they would shred the text."""

    def __init__(self) -> None:
        super().__init__()
        self._secrets: tuple[str, ...] = ()

    def learn(self, secrets: Iterable[str]) -> None:
        self._secrets = tuple(
            sorted({value for value in secrets if len(value) >= _LEAST_SECRET}, key=len, reverse=True)
        )

    def filter(self, record: logging.LogRecord) -> bool:
        record.msg, record.args = self.clean(record.getMessage()), ()
        if record.exc_info:
            # The message of an exception is somebody else's text, so a trace is redacted like any line.
            record.exc_text = self.clean(_plain.formatException(record.exc_info))
        return True

    def clean(self, text: str) -> str:
        for secret in self._secrets:
            text = text.replace(secret, "(secret)")
        return text


class TextFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        at = time.strftime("%H:%M:%S", time.localtime(record.created))
        trace = "\n" + record.exc_text if record.exc_text else ""
        return f"{at} {record.levelname.lower()} {printable(record.getMessage())}{trace}"


class JsonFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        line = {
            "at": round(record.created, 3),
            "kind": "log",
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_text:
            line["trace"] = record.exc_text
        return msgspec.json.encode(line).decode()


def set_up(style: str, level: str) -> Redactor:
    """Configure logging of this process once; returns what redacts."""
    redactor = Redactor()
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter() if style == "json" else TextFormatter())
    handler.addFilter(redactor)
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    # uvicorn says nothing that we do not say better; its errors stay.
    logging.getLogger("uvicorn").setLevel(logging.CRITICAL)
    logging.getLogger("asyncio").setLevel(logging.WARNING)
    return redactor
