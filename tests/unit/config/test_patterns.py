"""Patterns that choose names."""

import re

from hypothesis import given
from hypothesis import strategies as st

from portico.config.patterns import compile_patterns, matches

TEXT = st.text("ab*", max_size=8)


def test_a_denial_wins_wherever_it_stands() -> None:
    for texts in (["search_*", "!search_code"], ["!search_code", "search_*"]):
        patterns = compile_patterns(texts)
        assert patterns.admits("search_issues")
        assert not patterns.admits("search_code")
        assert not patterns.admits("delete")


def test_denials_alone_allow_the_rest_and_nothing_allows_nothing() -> None:
    assert compile_patterns(["!a"]).admits("b")
    assert not compile_patterns(["!a"]).admits("a")
    assert not compile_patterns([]).admits("b")


@given(TEXT, st.text("ab", max_size=12))
def test_a_star_stands_for_anything_and_everything_else_for_itself(pattern: str, name: str) -> None:
    expected = re.fullmatch(".*".join(map(re.escape, pattern.split("*"))), name) is not None
    assert matches(pattern, name) is expected
