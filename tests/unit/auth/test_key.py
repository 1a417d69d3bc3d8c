"""Keys as text, and the command that hashes them."""

import re

import yaml
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from portico.cli import app
from portico.config.key import is_key, key_hash, new_key
from portico.config.patterns import compile_patterns

KEY = re.compile(r"pk_[A-Za-z0-9_-]{43}")


def test_keys_differ_and_have_their_form() -> None:
    keys = {new_key() for _ in range(200)}
    assert len(keys) == 200
    assert all(is_key(key) and KEY.fullmatch(key) for key in keys)


@given(st.text(max_size=60))
def test_what_people_make_up_is_no_key(text: str) -> None:
    assert is_key(text) == bool(KEY.fullmatch(text))


def test_the_command_makes_a_key_and_prints_a_line_for_a_document() -> None:
    made = CliRunner().invoke(app, ["key", "hash", "--name", "ci"])
    assert made.exit_code == 0
    (key,) = KEY.findall(made.stderr)
    assert yaml.safe_load(made.stdout) == [{"name": "ci", "hash": key_hash(key)}]
    assert key not in made.stdout
    again = CliRunner().invoke(app, ["key", "hash", "--name", "ci", "--stdin"], input=key + "\n")
    assert again.stdout == made.stdout
    assert key not in again.stderr
    refused = CliRunner().invoke(app, ["key", "hash", "--stdin"], input="hunter2\n")
    assert refused.exit_code == 2
    assert "hunter2" not in refused.output


def test_a_denial_wins_wherever_it_stands() -> None:
    for texts in (["get_*", "!get_secret"], ["!get_secret", "get_*"]):
        patterns = compile_patterns(texts)
        assert [patterns.admits(name) for name in ("get_a", "get_secret", "set_a")] == [True, False, False]
    assert compile_patterns(["!x"]).admits("y")
    assert not compile_patterns([]).admits("y")


@given(st.lists(st.sampled_from(["a", "b", "*"]), max_size=6), st.text("ab", max_size=8))
def test_a_pattern_means_what_a_regular_expression_would(parts: list[str], name: str) -> None:
    pattern = "".join(parts)
    wanted = re.fullmatch(pattern.replace("*", ".*"), name) is not None
    assert compile_patterns([pattern]).admits(name) is (wanted if pattern else name == "")
