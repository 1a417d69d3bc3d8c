"""What results, errors, greetings and `_meta` of one era are in the other: nothing that is not known is lost."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.gateway.bridge.wild import META, PROTOCOL, VALUES, objects, read, spelled

from portico.gateway.protocol.bridge.members import body_of, members_of, raw, value_of
from portico.gateway.protocol.bridge.translation import (
    SERVER,
    discovery,
    greeting,
    legacy_outcome,
    modern_outcome,
    without_protocol,
)
from portico.upstream.mcp.upstream import Outcome

ERA = ("resultType", "ttlMs", "cacheScope")
HINTS = b',"ttlMs":5000,"cacheScope":"private"'
IDENTITY = raw({"name": "s", "version": "1"})
CACHED = ("tools/list", "resources/read")
METHODS = st.sampled_from([*CACHED, "tools/call", "prompts/get", "own/method"])
RESULTS = objects(_meta=META)
OBJECTS = st.dictionaries(st.text(max_size=8), VALUES, max_size=4)


def result(body: bytes) -> Outcome:
    return Outcome(b'"result":' + body, False)


def error(body: bytes) -> Outcome:
    return Outcome(b'"error":' + body, True)


def without(found: Any, *names: str) -> dict[str, Any]:
    return {name: value for name, value in found.items() if name not in names}


def as_object(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


@given(METHODS, spelled(RESULTS), st.sampled_from([IDENTITY, None]))
def test_a_legacy_result_is_whole_for_a_modern_client(method: str, body: bytes, server: Any) -> None:
    given_, found = read(body), read(body_of(modern_outcome(method, result(body), server, HINTS)))
    assert found["resultType"] == "complete"
    hints = {"ttlMs": "5000", "cacheScope": "private"} if method in CACHED else {}
    assert {name: found[name] for name in ERA[1:] if name in found} == hints
    assert without(found, "_meta", *ERA) == without(given_, "_meta", *ERA)
    known = as_object(given_.get("_meta"))
    assert without(as_object(found.get("_meta")), SERVER) == without(known, SERVER)
    assert as_object(found.get("_meta")).get(SERVER, known.get(SERVER)) == (
        {"name": "s", "version": "1"} if server else known.get(SERVER)
    )


@given(METHODS, spelled(VALUES))
def test_a_result_that_is_no_object_is_an_empty_one(method: str, body: bytes) -> None:
    outcome = modern_outcome(method, result(body), None, HINTS)
    assert read(body_of(outcome))["resultType"] == "complete"


@given(METHODS, spelled(RESULTS))
def test_a_modern_result_is_whole_for_a_legacy_client(method: str, body: bytes) -> None:
    given_, outcome = read(body), result(body)
    found = read(body_of(legacy_outcome(method, outcome, members_of(body))))
    assert not set(ERA) & found.keys()
    left_out = ["structuredContent"] if not isinstance(given_.get("structuredContent"), dict) else []
    if method != "tools/list":
        assert without(found, "_meta", *left_out) == without(given_, "_meta", *ERA, *left_out)
    if "structuredContent" in found:
        assert isinstance(found["structuredContent"], dict)
    if SERVER in as_object(given_.get("_meta")):
        assert as_object(found.get("_meta")) == without(given_["_meta"], SERVER)
    else:
        assert found.get("_meta") == given_.get("_meta")


@given(METHODS, spelled(OBJECTS))
def test_a_result_that_went_there_and_back_is_what_it_was(method: str, body: bytes) -> None:
    there = modern_outcome(method, result(body), IDENTITY, HINTS)
    back = legacy_outcome("own/method", there, members_of(body_of(there)))
    given_ = read(body)
    found = read(body_of(back))
    if as_object(given_.get("_meta")) == {}:
        given_, found = without(given_, "_meta"), without(found, "_meta")
    assert without(found, "structuredContent") == without(given_, "structuredContent", *ERA)


SCHEMAS = st.sampled_from([{"type": "object", "$defs": {}}, {"type": "array"}, {}, True, None]) | VALUES
TOOLS = st.lists(objects(outputSchema=SCHEMAS), max_size=3)


@given(spelled(st.fixed_dictionaries({"tools": TOOLS})))
def test_only_an_output_schema_that_is_no_objects_is_left_out_of_a_list(body: bytes) -> None:
    found = read(body_of(legacy_outcome("tools/list", result(body), members_of(body))))
    for tool, shown in zip(read(body)["tools"], found["tools"], strict=True):
        kept = as_object(tool.get("outputSchema")).get("type") == "object"
        assert shown == (tool if kept else without(tool, "outputSchema"))


CODES = st.sampled_from([-32002, -32602, -32603]) | st.integers() | VALUES


@given(st.sampled_from(["resources/read", "tools/call"]), spelled(objects(code=CODES, message=st.text())))
def test_an_error_is_whole_but_for_the_code_of_a_resource_that_is_not_there(method: str, body: bytes) -> None:
    given_ = read(body)
    for outcome, code, other in (
        (modern_outcome(method, error(body), IDENTITY, HINTS), -32002, "-32602"),
        (legacy_outcome(method, error(body), {}), -32602, "-32002"),
    ):
        told = value_of(members_of(body).get("code"))
        recoded = told == code and (code == -32002 or method == "resources/read")
        assert outcome.is_error
        assert read(body_of(outcome)) == (given_ | {"code": other} if recoded else given_)
        if not recoded:
            assert body_of(outcome) == body


@given(spelled(objects(_meta=META)))
def test_params_lose_only_what_their_era_says(params: bytes) -> None:
    given_, (kept, meta) = read(params), without_protocol(params)
    found = read(kept) if kept is not None else {}
    assert without(found, "_meta") == without(given_, "_meta", "inputResponses", "requestState")
    known = as_object(given_.get("_meta"))
    protocol = [f"{PROTOCOL}{name}" for name in ("protocolVersion", "clientCapabilities", "clientInfo", "logLevel")]
    assert as_object(found.get("_meta")) == without(known, *protocol)
    assert meta.keys() == known.keys()


@given(spelled(objects(capabilities=OBJECTS, serverInfo=OBJECTS, instructions=st.text(), _meta=META)))
def test_a_greeting_that_went_there_and_back_offers_the_same(body: bytes) -> None:
    given_ = read(body)
    discovered = discovery(body, "2025-11-25", HINTS)
    found = read(greeting(discovered, "2025-06-18"))
    assert read(discovered)["supportedVersions"] == ["2026-07-28", "2025-11-25"]
    assert found["protocolVersion"] == "2025-06-18"
    assert found.get("instructions") == given_.get("instructions")
    assert without(found["capabilities"], "logging") == without(
        as_object(given_.get("capabilities")), "logging", "extensions"
    )
    if "serverInfo" in given_:
        assert found["serverInfo"] == given_["serverInfo"]


@pytest.mark.parametrize("body", [b"", b"{", b"7", b"[1]", b"\xff", b"[" * 10_000])
def test_what_a_server_must_not_say_breaks_nothing(body: bytes) -> None:
    for outcome in (
        modern_outcome("tools/list", result(body), IDENTITY, HINTS),
        legacy_outcome("tools/list", result(body), members_of(body)),
    ):
        assert isinstance(read(body_of(outcome)), dict)
    discovery(body, "2025-11-25", HINTS)
    greeting(body, "2025-11-25")
    assert without_protocol(body) == (None, {})
