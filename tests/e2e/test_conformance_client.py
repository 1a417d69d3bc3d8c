"""The conformance suite's client scenarios that concern relaying, with the gateway between the suite and a client."""

import json
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from tests.clients.programs import NODE
from tests.conformance.suite import SUITE

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(120)]

ROOT = Path(__file__).parents[2]
WAIT = 60
SCENARIOS = {
    "2025-11-25": (
        "initialize",
        "tools_call",
        "elicitation-sep1034-client-defaults",
        "sse-retry",
        "json-schema-2020-12-preservation",
    ),
    "2026-07-28": (
        "tools_call",
        "request-metadata",
        "sep-2322-client-request-state",
        "http-standard-headers",
        "http-custom-headers",
        "http-invalid-tool-headers",
        "json-schema-ref-no-deref",
        "json-schema-2020-12-preservation",
    ),
}
# Checks that may be left out: the stateless revision has no handshake.
SKIPPED = {"ClientMcpMethodHeader_initialize", "ClientMcpMethodHeader_notifications_initialized"}


@pytest.mark.parametrize(("revision", "scenario"), [(of, name) for of, names in SCENARIOS.items() for name in names])
def test_a_client_behind_the_gateway_passes_the_scenario(revision: str, scenario: str, tmp_path: Path) -> None:
    client = shlex.join([sys.executable, "-m", "tests.conformance.relayed_client"])
    command = [str(NODE), str(SUITE), "client", "--command", client, "--scenario", scenario]
    options = ["--spec-version", revision, "--timeout", str(WAIT * 1000), "-o", str(tmp_path)]
    done = subprocess.run(
        [*command, *options], capture_output=True, text=True, timeout=WAIT + 20, check=False, cwd=ROOT
    )
    said = f"{done.stdout}\n{done.stderr}\n{client_said(tmp_path)}"
    checks = [check for file in tmp_path.glob("*/checks.json") for check in json.loads(file.read_text())]
    assert any(check["status"] == "SUCCESS" for check in checks), said
    assert {check["name"] for check in checks if check["status"] == "SKIPPED"} <= SKIPPED, said
    assert [f"{c['id']}: {c.get('errorMessage')}" for c in checks if c["status"] in ("FAILURE", "WARNING")] == [], said
    assert done.returncode == 0, said


def client_said(folder: Path) -> str:
    return "\n".join(file.read_text() for file in folder.glob("*/std*.txt"))
