"""The report of a replica: the parts of its workers as one, within a bound, and figures of one minute."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from portico.apps.replica.part import Minute
from portico.apps.replica.report import MOST_TOLD, Figures, Part, Report, Upstream, encoded, joined
from portico.observe.figures import Figures as Counted
from portico.store.store import MAX_REPORT

STATES = st.sampled_from(["down", "left alone", "starting", "serving", "onDemand"])
TEXTS = st.text(max_size=2_000)
UPSTREAMS = st.lists(st.builds(Upstream, TEXTS, STATES, TEXTS), max_size=30).map(tuple)
PARTS = st.builds(Part, TEXTS, TEXTS, TEXTS, told=st.lists(TEXTS, max_size=30).map(tuple), upstreams=UPSTREAMS)


def test_parts_are_joined_to_what_holds_for_all_of_them() -> None:
    one = Part("9", documents={"current": 1}, told=("old",), figures=Figures(60, 10, 1, 2, 0.5))
    two = Part("10", documents={"current": 2}, trouble="down", figures=Figures(30, 5, 0, 1, 0.25))
    report = joined([two, one], Report(version="1", workers=2))
    assert (report.revision, report.newest, report.answering) == ("9", "10", 2)
    assert not report.agreed
    assert (report.documents, report.told, report.trouble) == ({"current": 1}, ("old",), "down")
    assert report.figures == Figures(60, 15, 1, 3, 0.75)


def test_an_upstream_is_told_as_the_worker_sees_it_for_which_it_is_worst() -> None:
    one = Part("1", upstreams=(Upstream("a", "serving"), Upstream("b", "down", "refused"), Upstream("c", "starting")))
    two = Part("1", upstreams=(Upstream("a", "left alone", "late"), Upstream("b", "down"), Upstream("c", "serving")))
    report = joined([one, two], Report(workers=2))
    assert report.agreed
    assert report.upstreams == {"left alone": 1, "down": 1, "starting": 1}
    assert report.down == (Upstream("b", "down", "refused", 2), Upstream("a", "left alone", "late", 1))


def test_a_worker_that_does_not_answer_is_missing_in_the_report() -> None:
    assert not joined([Part("1")], Report(workers=2)).agreed
    assert joined([], Report(workers=2)).answering == 0


@given(st.lists(PARTS, max_size=3))
def test_no_report_is_larger_than_the_store_takes(parts: list[Part]) -> None:
    text = encoded(joined(parts, Report(workers=3)))
    assert len(text) <= MAX_REPORT
    assert msgspec.json.decode(text, type=Report).workers == 3


@pytest.mark.parametrize("character", ["\0", "\U0001f600"])
def test_a_report_of_the_longest_texts_is_within_the_bound(character: str) -> None:
    long = character * 10_000
    upstreams = tuple(Upstream(f"{number}{long}", "down", long) for number in range(1_000))
    part = Part("1", long, long, told=(long,) * MOST_TOLD, upstreams=upstreams)
    assert len(encoded(joined([part], Report()))) <= MAX_REPORT


@pytest.mark.anyio
async def test_figures_are_those_of_the_last_minute() -> None:
    counted, now = Counted(), [0.0]
    minute = Minute(counted, lambda: now[0])
    for at in range(0, 120, 10):
        now[0] = at
        counted.call("/a", "tools/call", "t", "ok", 0.5)
        counted.call("/a", "tools/call", "t", "tool error", 0.5)
        counted.call("/a", "tools/call", "t", "cancelled", 0.0)
        counted.count("portico_refused_requests_total", "404")
        found = await minute.figures()
    assert found == Figures(60.0, 18, 6, 6, 6.0)


@pytest.mark.anyio
async def test_figures_of_a_worker_that_has_just_begun_are_of_a_shorter_time() -> None:
    counted, now = Counted(), [5.0]
    minute = Minute(counted, lambda: now[0])
    counted.call("/a", "tools/call", "t", "ok", 0.5)
    now[0] = 8.0
    assert await minute.figures() == Figures(3.0, 1, 0, 0, 0.5)
