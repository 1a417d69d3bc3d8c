"""What lies in deploy/ fits the gateway: its flags, its probes, its times and its documents."""

import configparser
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from portico.cli import app
from portico.config.check import check
from portico.settings import Settings, resolve

DEPLOY = Path(__file__).parents[2] / "deploy"
KUBERNETES = DEPLOY / "kubernetes"
SYSTEMD = DEPLOY / "systemd"
# What a supervisor gives its workers beyond the time to drain.
MORE = 10


def objects() -> dict[str, dict[str, Any]]:
    """Every object of the Kubernetes files, by kind and name."""
    found = [each for path in sorted(KUBERNETES.glob("*.yaml")) for each in yaml.safe_load_all(path.read_text())]
    return {f"{each['kind']}/{each.get('metadata', {}).get('name', '')}": each for each in found}


def accepted(arguments: list[str], env: dict[str, str]) -> dict[str, Any]:
    """The settings that `portico gateway` takes from these arguments."""
    shown = CliRunner().invoke(app, [*arguments, "--show-settings"], env=env)
    assert shown.exit_code == 0, shown.output
    return tomllib.loads(shown.output)


@pytest.mark.parametrize("path", sorted(DEPLOY.rglob("*.yaml")), ids=lambda path: str(path.relative_to(DEPLOY)))
def test_every_yaml_file_is_yaml(path: Path) -> None:
    assert all(isinstance(each, dict) for each in yaml.safe_load_all(path.read_text()))


# Kubernetes -----------------------------------------------------------------------------------------------------------


def container() -> dict[str, Any]:
    (only,) = objects()["Deployment/portico"]["spec"]["template"]["spec"]["containers"]
    return only


def test_the_deployments_arguments_are_settings() -> None:
    env = {each["name"]: "a token of an operator" for each in container()["env"]}
    settings = accepted(container()["args"], env)
    ports = {each["name"]: each["containerPort"] for each in container()["ports"]}
    assert settings["port"] == ports["http"]
    assert settings["admin"].endswith(f":{ports['admin']}")
    mounts = {each["mountPath"] for each in container()["volumeMounts"]}
    assert settings["store"].removeprefix("files:") in mounts
    assert f"{settings['secrets']}/default" in mounts


def test_the_probes_ask_what_the_public_listener_answers() -> None:
    paths = {kind: container()[kind]["httpGet"] for kind in ("startupProbe", "livenessProbe", "readinessProbe")}
    assert {kind: (each["path"], each["port"]) for kind, each in paths.items()} == {
        "startupProbe": ("/readyz", "http"),
        "livenessProbe": ("/livez", "http"),
        "readinessProbe": ("/readyz", "http"),
    }


def test_a_pod_has_the_time_that_it_needs_to_end() -> None:
    pod = objects()["Deployment/portico"]["spec"]["template"]["spec"]
    pause = int(container()["lifecycle"]["preStop"]["exec"]["command"][1])
    (drain,) = re.findall(r"--drain=(\d+)", " ".join(container()["args"]))
    assert pod["terminationGracePeriodSeconds"] >= pause + int(drain) + MORE


def test_the_objects_of_kubernetes_find_each_other() -> None:
    found = objects()
    deployment = found["Deployment/portico"]["spec"]
    labels = deployment["template"]["metadata"]["labels"]
    for selector in (
        deployment["selector"]["matchLabels"],
        found["Service/portico"]["spec"]["selector"],
        found["PodDisruptionBudget/portico"]["spec"]["selector"]["matchLabels"],
    ):
        assert selector.items() <= labels.items()
    volumes = {each["name"]: each for each in deployment["template"]["spec"]["volumes"]}
    assert {each["name"] for each in container()["volumeMounts"]} == set(volumes)
    assert f"ConfigMap/{volumes['documents']['configMap']['name']}" in found
    assert f"Secret/{volumes['secrets']['secret']['secretName']}" in found
    reference = container()["env"][0]["valueFrom"]["secretKeyRef"]
    assert reference["key"] in found[f"Secret/{reference['name']}"]["stringData"]
    (rule,) = found["Ingress/portico"]["spec"]["rules"]
    (path,) = rule["http"]["paths"]
    service = found[f"Service/{path['backend']['service']['name']}"]
    assert path["backend"]["service"]["port"]["name"] in {each["name"] for each in service["spec"]["ports"]}
    listed = set(found["Kustomization/"]["resources"])
    assert listed == {each.name for each in KUBERNETES.glob("*.yaml")} - {"kustomization.yaml"}


def test_the_documents_of_the_configmap_have_no_problem() -> None:
    found = objects()
    secrets = frozenset(found["Secret/portico-secrets"]["stringData"])
    for name, text in found["ConfigMap/portico-documents"]["data"].items():
        problems = check(text, name, secrets=secrets).problems
        assert [problem.render() for problem in problems if problem.severity != "note"] == []


# systemd --------------------------------------------------------------------------------------------------------------


def unit(name: str) -> configparser.ConfigParser:
    parser = configparser.ConfigParser(interpolation=None, strict=False)
    parser.optionxform = str  # type: ignore[assignment, method-assign]
    parser.read_string((SYSTEMD / name).read_text())
    return parser


def test_the_units_settings_are_settings_and_fit_its_socket_and_its_times() -> None:
    service = unit("portico.service")["Service"]
    program, command, *arguments = service["ExecStart"].split()
    assert Path(program).name == "portico"
    assert (command, arguments) == ("gateway", ["--settings", "/etc/portico/settings.toml"])
    settings = resolve({}, {}, str(SYSTEMD / "settings.toml")).settings
    assert unit("portico.socket")["Socket"]["ListenStream"] == f"{settings.host}:{settings.port}"
    assert int(service["TimeoutStopSec"]) >= settings.drain + MORE
    assert settings.drain == Settings().drain


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed")
def test_systemd_accepts_the_units(tmp_path: Path) -> None:
    for name in ("portico.service", "portico.socket"):
        text = (SYSTEMD / name).read_text()
        (tmp_path / name).write_text(text.replace("/opt/portico/bin/portico", sys.executable))
    files = [str(tmp_path / name) for name in ("portico.service", "portico.socket")]
    judged = subprocess.run(["systemd-analyze", "verify", *files], capture_output=True, text=True, timeout=30)
    assert (judged.returncode, judged.stderr) == (0, "")


# The image ------------------------------------------------------------------------------------------------------------


def test_what_the_dockerfile_copies_is_there() -> None:
    text = (DEPLOY / "docker/Dockerfile").read_text()
    copied = [line.split()[1:-1] for line in text.splitlines() if line.startswith("COPY") and "--from" not in line]
    missing = [name for names in copied for name in names if not (DEPLOY.parent / name).exists()]
    assert copied
    assert missing == []
