"""Settings: how this process runs. Read once into one frozen object; the only reader of the environment.

Order: flag, environment (`PORTICO_*`), settings file (TOML), default.
"""

from __future__ import annotations

import dataclasses
import hashlib
import ipaddress
import math
import os
import re
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

from portico.net.egress import Egress

LOOPBACK_HOSTS = ("localhost", "127.0.0.1", "[::1]")
_SECRET = "PORTICO_SECRET_"
_URLS = r",(?=\s*(?:[a-z+]+://|local:|signal:))"
"""What separates URLs in a list: a comma within one separates its hosts."""


class SettingsError(Exception):
    """A setting that cannot be used: the message says which, where it came from, and what is expected."""


def _setting(default: Any, help: str, **more: Any) -> Any:
    return field(default=default, metadata={"help": help, **more})


def _limit(default: Any, help: str) -> Any:
    """Counts are of one worker; docs/limits.md says what happens beyond each."""
    return _setting(default, help, limit=True)


@dataclass(frozen=True, slots=True)
class Settings:
    """Settings of `portico gateway`. Each field is a flag, an environment variable and a key of the settings file."""

    store: str = _setting("files:.", "Where the documents are: files:DIR or a database.")
    host: str = _setting("127.0.0.1", "Address to listen on.")
    port: int = _setting(5235, "Port to listen on; 0 takes a free one.")
    workers: int = _setting(1, "Processes that share the port.")
    tls_cert: str = _setting("", "File of the certificate, with its chain, in PEM: with it the port speaks HTTPS.")
    tls_key: str = _setting("", "File of the certificate's private key, in PEM.")
    admin: str = _setting("127.0.0.1:5239", "HOST:PORT of /metrics, /status and /reload, or off.")
    admin_token: str = _setting("", "Token of the admin listener; needed where it is not on loopback.", secret=True)
    secrets: str = _setting("", "Directory of secrets, one file each: DIR/TENANT/NAME.")
    key_file: str = _setting("", "File of the keys that seal and open secrets of a database; empty chooses a place.")
    allowed_host: tuple[str, ...] = _setting((), "A Host that clients may use; may be repeated.")
    trusted_proxy: tuple[str, ...] = _setting((), "Address or network of a proxy in front; may be repeated.")
    public_url: str = _setting("", "Where people reach this gateway, such as https://mcp.example.com/tools.")
    stdio: str = _setting("", "Who may define processes to start: off, files (documents on disk) or admin.")
    egress: str = _setting("", "Where calls may go: public, any, or hosts and networks separated by commas.")
    log: str = _setting("text", "Format of the log and the access log: text or json.")
    log_level: str = _setting("info", "Least level of the log: debug, info, warning or error.")
    access_log: bool = _setting(True, "Write one line for each call.")
    drain: float = _setting(30.0, "Seconds that calls under way have to finish at the end of the process.")
    poll: float = _setting(0.0, "Seconds between two looks at the store; 0 means 1 for files and 10 for a database.")
    copy: str = _setting("", "File that keeps what was read from a database last, or off; empty chooses a place.")
    notify: tuple[str, ...] = _setting(
        (), "URL of a notifier, which says at once that something changed; may be repeated.", secret=True, split=_URLS
    )
    pidfile: str = _setting("", "File for the process id, for as long as the process lives.")
    otlp_endpoint: str = _setting(
        "", "URL of an OpenTelemetry collector for traces, OTLP over HTTP.", standard="OTEL_EXPORTER_OTLP_ENDPOINT"
    )
    trace_ratio: float = _setting(0.01, "Share of the calls without a trace of their own that are traced, 0 to 1.")
    limit_handshake: float = _limit(5.0, "Seconds for the TLS handshake of a new connection.")
    limit_first_byte: float = _limit(5.0, "Seconds a new connection may be silent.")
    limit_head: float = _limit(10.0, "Seconds for the head of a request.")
    limit_body_time: float = _limit(30.0, "Seconds for the body of a request.")
    limit_body_pause: float = _limit(10.0, "Seconds between two pieces of a body.")
    limit_idle: float = _limit(75.0, "Seconds a kept connection may be silent.")
    limit_reader: float = _limit(30.0, "Seconds a client may leave an answer unread.")
    limit_unread: int = _limit(1024 * 1024, "Bytes of a stream that may be unread.")
    limit_url: int = _limit(8 * 1024, "Bytes of a URL with its query.")
    limit_headers: int = _limit(100, "Headers of a request.")
    limit_header_bytes: int = _limit(32 * 1024, "Bytes of the headers of a request.")
    limit_body: int = _limit(4 * 1024 * 1024, "Bytes of the body of a request.")
    limit_connections: int = _limit(20_000, "Connections of clients.")
    limit_in_flight: int = _limit(2_000, "Calls under way in all.")
    limit_in_flight_tenant: int = _limit(1_000, "Calls under way of one tenant.")
    limit_in_flight_caller: int = _limit(512, "Calls under way of one principal, or of one address without one.")
    limit_streams: int = _limit(10_000, "Open streams in all.")
    limit_streams_address: int = _limit(1_000, "Open streams of one address without a principal.")
    limit_streams_principal: int = _limit(100, "Open streams of one principal.")
    limit_sessions: int = _limit(50_000, "Sessions in all.")
    limit_sessions_address: int = _limit(1_000, "Sessions of one address without a principal.")
    limit_sessions_principal: int = _limit(100, "Sessions of one principal.")
    limit_session_idle: float = _limit(1_800.0, "Seconds after which an unused session ends.")
    limit_session_life: float = _limit(86_400.0, "Seconds after which every session ends.")
    limit_parked: int = _limit(1_000, "Calls that wait for their client's input.")
    limit_parked_server: int = _limit(128, "Calls that wait for it at one MCP server, each on a connection of its own.")
    limit_parked_caller: int = _limit(32, "Calls that wait for it of one principal, or of one address without one.")
    limit_parked_time: float = _limit(600.0, "Seconds that an input is waited for, 600 at most.")
    limit_connect: float = _limit(5.0, "Seconds to connect to a service.")
    limit_answer: float = _limit(30.0, "Seconds to the first byte of a service's answer.")
    limit_upstream_connections: int = _limit(256, "Connections to one service.")
    limit_upstream_in_flight: int = _limit(512, "Requests to one service, under way or waiting.")
    limit_upstream_queue: float = _limit(2.0, "Seconds a request waits for a connection.")
    limit_answer_body: int = _limit(8 * 1024 * 1024, "Bytes of a service's answer, unpacked.")
    limit_answer_ratio: int = _limit(100, "Unpacked bytes for each packed one.")
    limit_answer_headers: int = _limit(200, "Headers of a service's answer.")
    limit_answer_header_bytes: int = _limit(64 * 1024, "Bytes of the headers of a service's answer.")
    limit_retries: float = _limit(0.2, "Repeated requests for each request to a service.")
    limit_breaker_failures: int = _limit(5, "Failures in a row after which a service is left alone.")
    limit_breaker_pause: float = _limit(30.0, "Seconds it is left alone, longer each time in a row.")
    limit_breaker_most: float = _limit(300.0, "Seconds it is left alone at most.")

    @property
    def on_loopback(self) -> bool:
        return _is_loopback(self.host)

    @property
    def on_files(self) -> bool:
        return self.store.startswith("files:")

    @property
    def patience(self) -> float:
        """Seconds between two looks at the store."""
        return self.poll or (1.0 if self.on_files else 10.0)

    @property
    def copy_file(self) -> Path | None:
        """Where the last good copy of a database lies. Stores are told apart, so that gateways may share a place."""
        if self.copy:
            return Path(self.copy) if self.copy != "off" else None
        directory = _state_directory()
        digest = hashlib.sha256(self.store.encode()).hexdigest()
        return directory / f"copy-{digest[:12]}" if directory is not None else None

    @property
    def key_path(self) -> Path | None:
        """Where the key file lies, which may not be there."""
        if self.key_file:
            return Path(self.key_file)
        directory = _state_directory()
        return directory / "secrets.key" if directory is not None else None

    @property
    def starts_processes(self) -> bool:
        """Defining a process is running code. Documents on disk are the operator's, those of a database are whoever's
        may write there."""
        return self.stdio == "admin" or (self.on_files and self.stdio != "off")

    @property
    def egress_policy(self) -> str:
        """What was set, or what the place suggests: anything for a gateway on loopback, public addresses beyond."""
        return self.egress or ("any" if self.on_loopback else "public")

    @property
    def host_names(self) -> tuple[str, ...]:
        """Hosts that requests may name; empty for any."""
        public = re.sub(r"^https?://([^/]*).*$", r"\1", self.public_url)
        named = (*self.allowed_host, *([public] if public else []))
        if self.on_loopback:
            return (*LOOPBACK_HOSTS, *named)
        return (*LOOPBACK_HOSTS, *named) if self.allowed_host else ()

    @property
    def public_path(self) -> str:
        return re.sub(r"^https?://[^/]*", "", self.public_url).rstrip("/")

    @property
    def admin_address(self) -> tuple[str, int] | None:
        if self.admin == "off":
            return None
        host, _, port = self.admin.rpartition(":")
        return host.strip("[]"), int(port)


@dataclass(frozen=True, slots=True)
class Resolved:
    """The settings, where each came from, and the secrets of the environment (those of the default tenant)."""

    settings: Settings
    origins: Mapping[str, str]
    secrets: Mapping[str, str]
    sockets: int = 0  # opened for this process by whoever started it, as systemd does


def process_environment() -> dict[str, str]:
    """What processes that a document defines get of our environment, and nothing else."""
    return {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "TMPDIR") if name in os.environ}


def _state_directory() -> Path | None:
    """What systemd gives a service for it, or the place that a user's programs have."""
    given = os.environ.get("STATE_DIRECTORY", "").partition(":")[0]
    if given:
        return Path(given)
    if state := os.environ.get("XDG_STATE_HOME"):
        return Path(state) / "portico"
    return Path(os.environ["HOME"]) / ".local/state/portico" if "HOME" in os.environ else None


def resolve(flags: Mapping[str, Any], environ: Mapping[str, str] | None = None, file: str | None = None) -> Resolved:
    """Settle every setting, or SettingsError. Flags that are None were not given."""
    environ = os.environ if environ is None else environ
    path = file or environ.get("PORTICO_SETTINGS")
    from_file = _read(Path(path)) if path else {}
    values: dict[str, Any] = {}
    origins: dict[str, str] = {}
    for item in dataclasses.fields(Settings):
        variable = f"PORTICO_{item.name.upper()}"
        if flags.get(item.name) is not None:
            values[item.name], origins[item.name] = flags[item.name], "flag"
        elif variable in environ:
            values[item.name], origins[item.name] = _parse(item, environ[variable], variable), variable
        elif item.name in from_file:
            values[item.name], origins[item.name] = _typed(item, from_file[item.name], str(path)), str(path)
        elif (standard := item.metadata.get("standard", "")) in environ:
            values[item.name], origins[item.name] = _parse(item, environ[standard], standard), standard
        else:
            values[item.name], origins[item.name] = item.default, "default"
    settings = Settings(**values)
    _judge(settings, origins)
    found = {name[len(_SECRET) :]: value for name, value in environ.items() if name.startswith(_SECRET)}
    for_us = environ.get("LISTEN_PID") == str(os.getpid()) and environ.get("LISTEN_FDS", "").isdecimal()
    return Resolved(settings, origins, found, int(environ["LISTEN_FDS"]) if for_us else 0)


def show(resolved: Resolved) -> str:
    """Every setting with its value and where it came from, as TOML that could be a settings file."""
    lines = []
    for item in dataclasses.fields(Settings):
        value = getattr(resolved.settings, item.name)
        text = '"(hidden)"' if item.metadata.get("secret") and value else without_password(_toml(value))
        lines.append(f"{item.name.replace('_', '-')} = {text}  # {resolved.origins[item.name]}")
    return "\n".join(lines)


def without_password(url: str) -> str:
    """A text that may hold the URL of a database, as it may be shown."""
    return re.sub(r"(://[^:/@\s]*:)[^/\s]*@", r"\1***@", url)


def _toml(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, tuple):
        return "[" + ", ".join(_toml(one) for one in value) + "]"
    if isinstance(value, str):
        return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
    return str(value)


def _read(path: Path) -> dict[str, Any]:
    try:
        data = tomllib.loads(path.read_text())
    except OSError as error:
        raise SettingsError(f"The settings file {path} cannot be read: {error.strerror}.") from None
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(f"The settings file {path} is not TOML: {error}.") from None
    known = {item.name for item in dataclasses.fields(Settings)}
    settled = {key.replace("-", "_"): value for key, value in data.items()}
    unknown = sorted(settled.keys() - known)
    if unknown:
        raise SettingsError(f"{path}: there is no setting {unknown[0]}; known are {', '.join(sorted(known))}.")
    return settled


def _parse(item: dataclasses.Field[Any], text: str, where: str) -> Any:
    if isinstance(item.default, bool):
        if text.lower() in ("1", "true", "yes", "on"):
            return True
        if text.lower() in ("0", "false", "no", "off"):
            return False
        raise SettingsError(f"{where} must be true or false, not {text!r}.")
    if isinstance(item.default, tuple):
        return tuple(part.strip() for part in re.split(item.metadata.get("split", ","), text) if part.strip())
    if isinstance(item.default, int | float):
        try:
            return type(item.default)(text)
        except ValueError:
            raise SettingsError(f"{where} must be a number, not {text!r}.") from None
    return text


def _typed(item: dataclasses.Field[Any], value: Any, where: str) -> Any:
    if isinstance(item.default, tuple):
        values = [value] if isinstance(value, str) else value
        if isinstance(values, list) and all(isinstance(one, str) for one in values):
            return tuple(values)
    elif isinstance(item.default, bool) == isinstance(value, bool):
        if isinstance(item.default, float) and isinstance(value, int | float):
            return float(value)
        if type(value) is type(item.default):
            return value
    raise SettingsError(f"{where}: {item.name.replace('_', '-')} must be of the type of {item.default!r}.")


Refuse = Callable[[str, str], NoReturn]


def _judge(settings: Settings, origins: Mapping[str, str]) -> None:
    """Refuse what could not work, before anything is started."""

    def refuse(name: str, why: str) -> NoReturn:
        flag = "--" + name.replace("_", "-")
        raise SettingsError(f"{flag} (from {origins[name]}) {why}")

    _judge_numbers(settings, refuse)
    _judge_addresses(settings, refuse)
    if settings.log not in ("text", "json"):
        refuse("log", f"must be text or json, not {settings.log!r}.")
    if settings.stdio not in ("", "off", "files", "admin"):
        refuse("stdio", f"must be off, files or admin, not {settings.stdio!r}.")
    if settings.log_level not in ("debug", "info", "warning", "error"):
        refuse("log_level", f"must be debug, info, warning or error, not {settings.log_level!r}.")
    if settings.notify:
        _judge_notifiers(settings, refuse)
    try:
        Egress.parse(settings.egress_policy)
    except ValueError as error:
        refuse("egress", f"cannot be used. {error}.")


def _judge_notifiers(settings: Settings, refuse: Refuse) -> None:
    from portico.notify.open import judge

    try:
        judge(settings.notify)
    except ValueError as error:
        refuse("notify", f"cannot be used: {error}.")


def _judge_numbers(settings: Settings, refuse: Refuse) -> None:
    if not 0 <= settings.port <= 65535:
        refuse("port", f"must be 0 to 65535, not {settings.port}.")
    if not 1 <= settings.workers <= 64:
        refuse("workers", f"must be 1 to 64, not {settings.workers}.")
    limits = [item.name for item in dataclasses.fields(Settings) if item.metadata.get("limit")]
    if not 0 <= settings.poll < math.inf:
        refuse("poll", f"must be 0 or more, not {settings.poll}.")
    for name in ("drain", *limits):
        if not 0 < getattr(settings, name) < math.inf:
            refuse(name, f"must be more than 0, not {getattr(settings, name)}.")
    if settings.limit_parked_time > 600:
        refuse("limit_parked_time", f"must be 600 at most, not {settings.limit_parked_time}.")
    if not 0 <= settings.trace_ratio <= 1:
        refuse("trace_ratio", f"must be 0 to 1, not {settings.trace_ratio}.")


def _judge_addresses(settings: Settings, refuse: Refuse) -> None:
    if settings.public_url and not re.fullmatch(r"https?://[^/?#\s]+[^?#\s]*", settings.public_url):
        refuse("public_url", "must be an http or https URL without query.")
    if settings.otlp_endpoint and not re.fullmatch(r"https?://[^/?#\s]+[^?#\s]*", settings.otlp_endpoint):
        refuse("otlp_endpoint", "must be an http or https URL without query, such as http://127.0.0.1:4318.")
    if settings.admin != "off" and not re.fullmatch(r".+:\d{1,5}", settings.admin):
        refuse("admin", f"must be HOST:PORT or off, not {settings.admin!r}.")
    address = settings.admin_address
    if address is not None and address[1] > 65535:
        refuse("admin", f"must have a port of 0 to 65535, not {address[1]}.")
    if address is not None and not _is_loopback(address[0]) and len(settings.admin_token) < 16:
        refuse("admin", "is beyond loopback, so --admin-token must have at least 16 characters.")
    if bool(settings.tls_cert) != bool(settings.tls_key):
        refuse(*(("tls_cert", "needs --tls-key too.") if settings.tls_cert else ("tls_key", "needs --tls-cert too.")))
    if not all(_is_network(network) for network in settings.trusted_proxy):
        refuse("trusted_proxy", f"must be addresses or networks, not {', '.join(settings.trusted_proxy)}.")


def _is_network(text: str) -> bool:
    try:
        ipaddress.ip_network(text, strict=False)
    except ValueError:
        return False
    return True


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False
