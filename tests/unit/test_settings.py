"""Settings: flag before environment before file before default, and nothing that could not work."""

import dataclasses
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from portico.settings import Settings, SettingsError, resolve, show

PORT = st.none() | st.integers(0, 65535)


@given(flag=PORT, variable=PORT, line=PORT)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_flag_wins_over_the_environment_over_the_file_over_the_default(
    flag: int | None, variable: int | None, line: int | None, tmp_path: Path
) -> None:
    file = tmp_path / "portico.toml"
    file.write_text("" if line is None else f"port = {line}\n")
    environ = {} if variable is None else {"PORTICO_PORT": str(variable)}
    resolved = resolve({"port": flag}, environ, str(file))
    known = [(flag, "flag"), (variable, "PORTICO_PORT"), (line, str(file)), (5235, "default")]
    assert (resolved.settings.port, resolved.origins["port"]) == next(pair for pair in known if pair[0] is not None)


def test_each_setting_can_be_given_by_each_way(tmp_path: Path) -> None:
    values: dict[str, tuple[str, str, object]] = {
        "host": ("0.0.0.0", '"0.0.0.0"', "0.0.0.0"),
        "workers": ("3", "3", 3),
        "allowed_host": ("a.example, b.example:1", '["a.example", "b.example:1"]', ("a.example", "b.example:1")),
        "trusted_proxy": ("10.0.0.0/8", '"10.0.0.0/8"', ("10.0.0.0/8",)),
        "access_log": ("no", "false", False),
        "limit_session_idle": ("60", "60", 60.0),
        "public_url": ("https://mcp.example.com/x", '"https://mcp.example.com/x"', "https://mcp.example.com/x"),
        "log": ("json", '"json"', "json"),
    }
    file = tmp_path / "portico.toml"
    for name, (variable, line, value) in values.items():
        file.write_text(f"{name.replace('_', '-')} = {line}\n")
        assert getattr(resolve({}, {}, str(file)).settings, name) == value
        assert getattr(resolve({}, {f"PORTICO_{name.upper()}": variable}).settings, name) == value
        assert getattr(resolve({name: value}, {}).settings, name) == value


def test_the_settings_file_can_be_named_by_the_environment(tmp_path: Path) -> None:
    file = tmp_path / "portico.toml"
    file.write_text("port = 7\n")
    assert resolve({}, {"PORTICO_SETTINGS": str(file)}).settings.port == 7


def test_secrets_of_the_environment_are_no_settings() -> None:
    resolved = resolve({}, {"PORTICO_SECRET_TOKEN": "hunter2", "SECRET": "x"})
    assert resolved.secrets == {"TOKEN": "hunter2"}
    assert "hunter2" not in show(resolved)


def test_what_is_shown_is_a_settings_file_that_says_the_same(tmp_path: Path) -> None:
    given: dict[str, Any] = {"port": 9, "allowed_host": ("a.example",), "log": "json", "store": 'files:/a "b"\\c'}
    resolved = resolve(given, {})
    file = tmp_path / "portico.toml"
    file.write_text(show(resolved))
    assert resolve({}, {}, str(file)).settings == resolved.settings


def test_a_token_is_never_shown() -> None:
    assert "s" * 20 not in show(resolve({"admin_token": "s" * 20}, {}))


@pytest.mark.parametrize(
    ("variable", "value", "named"),
    [
        ("PORTICO_PORT", "70000", "port"),
        ("PORTICO_PORT", "http", "PORTICO_PORT"),
        ("PORTICO_WORKERS", "0", "workers"),
        ("PORTICO_LOG", "xml", "log"),
        ("PORTICO_LOG_LEVEL", "loud", "log-level"),
        ("PORTICO_ACCESS_LOG", "maybe", "PORTICO_ACCESS_LOG"),
        ("PORTICO_PUBLIC_URL", "mcp.example.com", "public-url"),
        ("PORTICO_ADMIN", "5239", "admin"),
        ("PORTICO_ADMIN", "0.0.0.0:5239", "admin"),
        ("PORTICO_TRUSTED_PROXY", "everybody", "trusted-proxy"),
        ("PORTICO_LIMIT_BODY", "0", "limit-body"),
        ("PORTICO_POLL", "-1", "poll"),
        ("PORTICO_POLL", "nan", "poll"),
        ("PORTICO_DRAIN", "inf", "drain"),
    ],
)
def test_what_could_not_work_is_refused_and_named(variable: str, value: str, named: str) -> None:
    with pytest.raises(SettingsError, match=named):
        resolve({}, {variable: value})


@pytest.mark.parametrize(
    "text",
    ["port = ", "prot = 5235", 'port = "5235"', "port = true", "port = 1.5", "allowed-host = [1]", "access-log = 1"],
)
def test_a_settings_file_with_a_mistake_is_refused(text: str, tmp_path: Path) -> None:
    file = tmp_path / "portico.toml"
    file.write_text(text)
    with pytest.raises(SettingsError, match=r"portico\.toml"):
        resolve({}, {}, str(file))


def test_a_settings_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="cannot be read"):
        resolve({}, {}, str(tmp_path / "nowhere.toml"))


def test_the_place_suggests_how_open_a_gateway_is() -> None:
    assert Settings().egress_policy == "any"
    assert set(Settings().host_names) == {"localhost", "127.0.0.1", "[::1]"}
    beyond = Settings(host="0.0.0.0")
    assert beyond.egress_policy == "public"
    assert beyond.host_names == ()
    named = Settings(host="0.0.0.0", allowed_host=("mcp.example.com",), public_url="https://front.example.com/x/")
    assert {"mcp.example.com", "front.example.com"} <= set(named.host_names)
    assert named.public_path == "/x"


def test_every_setting_says_what_it_is() -> None:
    assert all(item.metadata["help"].endswith(".") for item in dataclasses.fields(Settings))


def test_a_password_of_the_store_is_not_shown() -> None:
    shown = show(resolve({"store": "postgresql://portico:a@word@db.example:5432/portico"}, {}))
    assert 'store = "postgresql://portico:***@db.example:5432/portico"' in shown
    assert 'store = "files:/a:b@c/d"' in show(resolve({"store": "files:/a:b@c/d"}, {}))
