"""Kinds of field that several parts of a Document have: models, names, durations, rates, moments, patterns."""

from __future__ import annotations

import re
from collections import Counter
from datetime import UTC, datetime
from typing import Annotated

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field
from pydantic.alias_generators import to_camel

NAME = r"^[a-z0-9][a-z0-9-]{0,62}$"

_DURATION = re.compile(r"^([0-9]+(?:\.[0-9]+)?)(ms|s|m|h)?$")
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, None: 1.0}


def _seconds(value: object) -> object:
    match = _DURATION.match(value) if isinstance(value, str) else None
    if match:
        return float(match[1]) * _UNITS[match[2]]
    if isinstance(value, str):
        raise ValueError("a duration is a number with a unit, such as 500ms, 10s, 5m or 1h")
    return value


Seconds = BeforeValidator(
    _seconds, json_schema_input_type=float | Annotated[str, Field(pattern=_DURATION.pattern, examples=["500ms", "10s"])]
)
Duration = Annotated[float, Seconds, Field(gt=0, le=86_400 * 366, allow_inf_nan=False)]


_RATE = re.compile(r"^([0-9]+(?:\.[0-9]+)?)/(s|m|h)$")


def _per_second(value: object) -> object:
    match = _RATE.match(value) if isinstance(value, str) else None
    if match is None:
        raise ValueError("a rate is a number of calls and a unit of time, such as 100/s, 600/m or 1000/h")
    return float(match[1]) / _UNITS[match[2]]


Rate = Annotated[
    float,
    BeforeValidator(
        _per_second, json_schema_input_type=Annotated[str, Field(pattern=_RATE.pattern, examples=["100/s", "600/m"])]
    ),
    Field(gt=0, le=1_000_000, allow_inf_nan=False),
]


def unique(values: list[str]) -> list[str]:
    doubled = sorted(value for value, count in Counter(values).items() if count > 1)
    if doubled:
        raise ValueError(f"listed more than once: {', '.join(doubled[:5])}")
    return values


Names = Annotated[list[str], AfterValidator(unique)]


class Model(BaseModel):
    """Fields are camelCase in the text; an unknown field is a problem, never silently dropped."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        strict=True,
        alias_generator=to_camel,
        populate_by_name=True,
        protected_namespaces=(),
    )


def _moment(value: object) -> object:
    if not isinstance(value, str):
        raise ValueError("a moment is a date, such as 2027-01-31, or one with a time, such as 2027-01-31T12:00:00Z")
    try:
        found = datetime.fromisoformat(value)
    except ValueError:
        raise ValueError(f"{value[:40]!r} is no date; write 2027-01-31 or 2027-01-31T12:00:00Z") from None
    return (found if found.tzinfo is not None else found.replace(tzinfo=UTC)).timestamp()


Moment = Annotated[
    float,
    BeforeValidator(
        _moment,
        json_schema_input_type=Annotated[
            str, Field(pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}", examples=["2027-01-31", "2027-01-31T12:00:00Z"])
        ],
    ),
]
"""Seconds since 1970."""

Pattern = Annotated[str, Field(pattern=r"^!?[^!\s]\S*$", max_length=512)]
Patterns = Annotated[list[Pattern], AfterValidator(unique), Field(min_length=1, max_length=200)]
Chosen = Annotated[list[Pattern], AfterValidator(unique), Field(max_length=200)]
"""Patterns too, but an empty list chooses nothing."""
