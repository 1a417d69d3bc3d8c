"""URLs of notifiers: what is accepted, what is refused with which words, and that no password is ever shown."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portico.notify.open import MOST, judge, open_receivers, open_senders
from portico.notify.place import MOST_HOSTS, Place
from portico.settings import SettingsError, resolve, show

GOOD = (
    "local:",
    "signal:/run/portico.pid",
    "http://127.0.0.1:5239",
    "http://t0ken@gateways.internal",
    "https://t0ken@[::1]:5239",
    "redis://127.0.0.1",
    "redis://user:pass@127.0.0.1:6379/3?channel=tools",
    "rediss://:pass@redis.internal?ca=/etc/ssl/redis.pem",
    "redis+sentinel://a,b:26379,[::1]:1/tools",
    "rediss+cluster://a:7000,b:7001",
    "postgresql://portico@127.0.0.1/portico",
    "postgres://portico:pass@a:5432,b/portico?sslmode=verify-full",
)
BAD = {
    "": "no known kind",
    "local:x": "no known kind",
    "kafka://a": "no known kind",
    "signal:": "names no file",
    "http://": "not of the form",
    "http://a:b@c": "TOKEN@HOST",
    "http://a/notify": "TOKEN@HOST",
    "http://a,b": "TOKEN@HOST",
    "http://a?x=1": "no option 'x'",
    "redis://a:99999": "is not HOST or HOST:PORT",
    "redis://a:0": "is not HOST or HOST:PORT",
    "redis://a/db": "redis://HOST:PORT/NUMBER",
    "redis://a,b": "redis://HOST:PORT",
    "redis://a?password=x": "no option 'password'",
    "redis+sentinel://a": "names no master",
    "redis+cluster://a/1": "one database only",
    "redis+cluster://" + ",".join("a" * (MOST_HOSTS + 1)): "9 hosts",
    "mysql://a/b": "no known kind",
}


@pytest.mark.parametrize("url", GOOD)
def test_a_kind_that_is_built_is_accepted(url: str) -> None:
    judge([url])
    (sender,) = open_senders([url])
    assert "t0ken" not in sender.shown
    assert "pass" not in sender.shown


@pytest.mark.parametrize("url", BAD)
def test_what_cannot_work_is_refused_before_anything_is_started(url: str) -> None:
    with pytest.raises(ValueError, match="number 1, ") as refused:
        judge([url])
    assert BAD[url] in str(refused.value)


def test_there_may_not_be_many() -> None:
    judge(["local:"] * MOST)
    with pytest.raises(ValueError, match="16"):
        judge(["local:"] * (MOST + 1))


def test_a_gateway_listens_to_what_does_not_reach_it_anyway() -> None:
    assert [receiver.shown for receiver in open_receivers(GOOD)] == [
        "local:",
        "redis://127.0.0.1",
        "redis://127.0.0.1:6379/3",
        "rediss://redis.internal",
        "redis+sentinel://a,b:26379,[::1]:1/tools",
        "rediss+cluster://a:7000,b:7001",
        "postgresql://127.0.0.1/portico",
        "postgres://a:5432,b/portico",
    ]


def refusal(url: str) -> str:
    """What is said against it, or nothing. Whatever else is raised fails the test."""
    try:
        judge([url])
    except ValueError as error:
        return str(error)
    return ""


@given(st.text(max_size=200))
def test_any_text_is_a_notifier_or_an_error(text: str) -> None:
    assert refusal(text) != "number 1, : "


@given(
    st.sampled_from(["redis", "postgresql", "http", "kafka", "redis+sentinel"]),
    st.text(st.characters(min_codepoint=33, max_codepoint=126, exclude_characters="@/?#"), min_size=12, max_size=30),
    st.sampled_from(["host", "host:port", "a,b/c/d", "host?nothing=1", ""]),
)
def test_a_refusal_never_shows_a_password(scheme: str, password: str, rest: str) -> None:
    assert password not in refusal(f"{scheme}://someone:{password}@{rest}")


def test_somebody_elses_error_is_shown_without_our_password() -> None:
    place = Place.parse("redis://us%40er:p%2Fass@h", 6379)
    assert (place.user, place.password) == ("us@er", "p/ass")
    assert place.clean("cannot\n log in as us@er with p/ass") == "cannot log in as (secret) with (secret)"
    assert "p/ass" not in repr(place)


def test_the_environment_separates_urls_and_not_their_hosts() -> None:
    environment = {"PORTICO_NOTIFY": "redis+cluster://a:1,b:2, signal:/run/p.pid,http://t@c:3"}
    resolved = resolve({}, environment)
    assert resolved.settings.notify == ("redis+cluster://a:1,b:2", "signal:/run/p.pid", "http://t@c:3")
    assert "http://t@" not in show(resolved)


def test_a_notifier_that_cannot_be_used_is_a_setting_that_cannot_be_used() -> None:
    with pytest.raises(
        SettingsError, match=r"--notify \(from flag\) cannot be used: number 2, redis://h/x: write"
    ) as no:
        resolve({"notify": ("local:", "redis://:very-secret@h/x")}, {})
    assert "very-secret" not in str(no.value)
