"""Which era a header means, and which revision a handshake settles on."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portico.wire import versions


@pytest.mark.parametrize("version", versions.LEGACY)
def test_a_handshake_revision_is_legacy(version: str) -> None:
    assert not versions.header_is_modern(version.encode())
    assert versions.negotiate(version, "2024-11-05") == version


@given(st.binary())
def test_everything_else_in_the_header_is_modern(value: bytes) -> None:
    assert versions.header_is_modern(value) is (value.decode("latin-1") not in versions.LEGACY)


def test_no_header_is_legacy() -> None:
    assert not versions.header_is_modern(None)


@given(st.text(), st.sampled_from(versions.ALL))
def test_a_handshake_settles_on_what_is_offered(requested: str, oldest: str) -> None:
    settled = versions.negotiate(requested, oldest)
    if settled is None:
        assert oldest in versions.MODERN
    else:
        assert settled in versions.LEGACY
        assert settled in versions.supported(oldest)


@given(st.sampled_from(versions.ALL))
def test_supported_revisions_are_listed_newest_first(oldest: str) -> None:
    listed = versions.supported(oldest)
    assert listed == sorted(listed, reverse=True)
    assert listed[0] == versions.ALL[-1]
    assert listed[-1] == oldest
