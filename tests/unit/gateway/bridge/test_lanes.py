"""Sessions beside each other for calls that may have to wait for input."""

from portico.gateway.protocol.bridge.lanes import MOST, MOST_PROCESSES, Lane, Lanes
from portico.upstream.mcp.upstream import Hello, McpSpec

HTTP = McpSpec("t", "d", "s", "http", url="http://x")
STDIO = McpSpec("t", "d", "s", "stdio", command="x")
HELLO = Hello("2025-11-25", b"{}", b"{}")


def begin(lanes: Lanes, spec: McpSpec = HTTP, *, waits: bool = False) -> Lane:
    lane = lanes.free(spec, HELLO)
    lane.calls += 1
    lane.waiting += waits
    return lane


def test_calls_share_a_session_until_one_of_them_waits() -> None:
    lanes = Lanes()
    first, second = begin(lanes), begin(lanes)
    assert first is second
    first.waiting += 1
    assert begin(lanes) is not first


def test_a_session_with_a_call_in_it_is_not_forgotten() -> None:
    lanes = Lanes()
    lane = begin(lanes)
    lanes.tidy()
    lane.waiting += 1
    other = begin(lanes)
    assert other is not lane
    assert other.owner != lane.owner


def test_sessions_without_calls_are_forgotten() -> None:
    lanes = Lanes()
    first, second = begin(lanes, waits=True), begin(lanes, waits=True)
    for lane in (second, first):
        lane.waiting -= 1
        lane.left()
    lanes.tidy()
    assert begin(lanes).owner is None
    assert lanes.free(HTTP, HELLO) is not first


def test_sessions_are_bounded_and_the_one_with_the_fewest_calls_that_wait_is_shared() -> None:
    for spec, most in ((HTTP, MOST), (STDIO, MOST_PROCESSES)):
        lanes = Lanes()
        found = [begin(lanes, spec, waits=True) for _ in range(most)]
        assert len({id(lane) for lane in found}) == most
        found[0].waiting += 1
        assert begin(lanes, spec) is found[1]
