"""What a list of tools costs a model in tokens, estimated without the model's tokenizer."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import msgspec

BYTES = 4.5
"""For 37 tools of npm's filesystem and memory servers and PyPI's time and git, o200k took 18,035 bytes for 3,960
tokens, between 3.5 and 5.2 bytes for one."""
HOW = "one token for 4.5 bytes of a tool's name, description and input schema as JSON, which is what models are given"


def estimate(tool: Mapping[str, Any]) -> int:
    given = {name: tool[name] for name in ("name", "description", "inputSchema") if name in tool}
    return math.ceil(len(msgspec.json.encode(given)) / BYTES)
