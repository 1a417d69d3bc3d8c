"""Real proxies in front of a gateway, run with the examples in deploy/; only addresses and files are replaced."""

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
from tests.e2e.processes import WAIT, until
from tests.fakes.net_certificates import Authority
from tests.fakes.ports import free_port

DEPLOY = Path(__file__).parents[2] / "deploy"


@dataclass(frozen=True)
class Site:
    """Where a proxy listens: a free port, a directory for its files, and a certificate."""

    directory: Path
    authority: Authority
    port: int

    @property
    def url(self) -> str:
        """Where people reach the gateway, for its --public-url."""
        return f"https://localhost:{self.port}/tools"

    @property
    def chain(self) -> Path:
        return self.directory / "tls.crt"

    @property
    def key(self) -> Path:
        return self.directory / "tls.key"


def site(directory: Path, authority: Authority) -> Site:
    directory.mkdir(exist_ok=True)
    found = Site(directory, authority, free_port())
    certificate, key, _ = authority.issue()
    found.chain.write_bytes(certificate)
    found.key.write_bytes(key)
    return found


def example(path: str, changes: Mapping[str, str]) -> str:
    """A file below deploy/ with each of these texts, which must be there once, replaced."""
    text = (DEPLOY / path).read_text()
    for old, new in changes.items():
        assert text.count(old) == 1, f"{path}: {old!r} is there {text.count(old)} times"
        text = text.replace(old, new)
    return text


@contextmanager
def nginx(at: Site, gateway: str, changes: Mapping[str, str] | None = None) -> Iterator[None]:
    """nginx with deploy/nginx/portico.conf in front of a gateway at HOST:PORT."""
    told = {
        "server 127.0.0.1:5235;": f"server {gateway};",
        "listen 443 ssl;": f"listen 127.0.0.1:{at.port} ssl;",
        "server_name mcp.example.com;": "server_name localhost;",
        "/etc/nginx/tls/tls.crt": str(at.chain),
        "/etc/nginx/tls/tls.key": str(at.key),
    }
    (at.directory / "portico.conf").write_text(example("nginx/portico.conf", told | dict(changes or {})))
    kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    temporary = " ".join(f"{kind}_temp_path {at.directory}/{kind};" for kind in kinds)
    # nginx would serve as another user, who may not enter a test's directory.
    user = "user root;" if os.geteuid() == 0 else ""
    (at.directory / "nginx.conf").write_text(
        f"daemon off; {user} worker_processes 1; pid {at.directory}/pid; error_log stderr;\n"
        f"events {{}}\nhttp {{ access_log off; {temporary} include {at.directory}/portico.conf; }}\n"
    )
    command = [_program("nginx"), "-p", str(at.directory), "-c", str(at.directory / "nginx.conf"), "-e", "stderr"]
    with _started(at, "nginx", command):
        yield


@contextmanager
def caddy(at: Site, gateway: str, changes: Mapping[str, str] | None = None) -> Iterator[None]:
    """Caddy with deploy/caddy/Caddyfile in front of a gateway at HOST:PORT."""
    names = f"https://localhost:{at.port}, https://api.test:{at.port}"
    told = {
        "mcp.example.com {": f"{names} {{\n\ttls {at.chain} {at.key}\n\tbind 127.0.0.1",
        "reverse_proxy 127.0.0.1:5235 {": f"reverse_proxy {gateway} {{",
    }
    text = example("caddy/Caddyfile", told | dict(changes or {}))
    # Neither its admin listener nor its port 80 concerns the example, and other processes may have them.
    (at.directory / "Caddyfile").write_text(f"{{\n\tadmin off\n\tauto_https disable_redirects\n}}\n{text}")
    command = [_program("caddy"), "run", "--adapter", "caddyfile", "--config", str(at.directory / "Caddyfile")]
    with _started(at, "caddy", command):
        yield


Proxy = Callable[[Site, str], AbstractContextManager[None]]
PROXIES: dict[str, Proxy] = {"nginx": nginx, "caddy": caddy}


def _program(name: str) -> str:
    found = shutil.which(name) or shutil.which(name, path="/usr/sbin:/sbin")
    assert found, f"{name} is not installed; make test installs it"
    return found


@contextmanager
def _started(at: Site, name: str, command: list[str]) -> Iterator[None]:
    home = {"HOME": str(at.directory), "XDG_DATA_HOME": str(at.directory), "XDG_CONFIG_HOME": str(at.directory)}
    said = at.directory / f"{name}.log"
    with said.open("wb") as log:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=os.environ | home, cwd=at.directory
        )
    try:
        until(lambda: _answers(at, process, said), f"{name} answers")
        yield
    except BaseException as error:
        error.add_note(f"--- {name} said:\n{said.read_text()[-4000:]}")
        raise
    finally:
        process.terminate()
        try:
            process.wait(WAIT)
        except subprocess.TimeoutExpired:
            process.kill()


def _answers(at: Site, process: subprocess.Popen[bytes], said: Path) -> bool:
    assert process.poll() is None, said.read_text()
    try:
        httpx.get(at.url, verify=at.authority.client, trust_env=False, timeout=WAIT)
    except httpx.TransportError:
        return False
    return True
