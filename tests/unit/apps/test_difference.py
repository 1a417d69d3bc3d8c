"""What a change of a document is shown as, whatever its length."""

import pytest

from portico.apps.difference import difference

LINES = [f"line {number}" for number in range(20_000)]


def shown(was: list[str], now: list[str]) -> list[str]:
    return difference("\n".join(was).encode(), "\n".join(now).encode(), "old", "new")


def test_a_change_is_shown_with_what_stands_around_it() -> None:
    assert shown(["a", "b", "c"], ["a", "x", "c"]) == ["--- old", "+++ new", "@@ -1,3 +1,3 @@", " a", "-b", "+x", " c"]
    assert shown(["a"], ["a"]) == []


def test_a_few_changes_of_a_long_text_are_shown() -> None:
    usual = [each for line in LINES for each in (line, "the same everywhere")]
    changed = ["first", *usual[1:20_001], "the same everywhere", "middle", *usual[20_001:], "last"]
    found = [line for line in shown(usual, changed)[2:] if line[0] in "+-"]
    assert sorted(found) == sorted(["-line 0", "+first", "+the same everywhere", "+middle", "+last"])


@pytest.mark.timeout(30)
@pytest.mark.parametrize(
    "other",
    [[line + "!" if number % 2 else line for number, line in enumerate(LINES)], LINES[::-1], ["x"] * 30_000],
    ids=["every other line", "turned round", "all of it"],
)
def test_long_texts_with_little_in_common_are_not_compared_for_minutes(other: list[str]) -> None:
    assert shown(LINES, other) == [
        "--- old",
        "+++ new",
        f"@@ 20000 lines became {len(other)}, too different to show one by one @@",
    ]
