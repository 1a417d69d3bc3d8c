"""The official conformance suite through the gateway: five kinds of upstream, two revisions of clients."""

from pathlib import Path

import pytest
from tests.conformance.suite import run_suite
from tests.conformance.upstreams import KINDS, relayed

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

SCORED = {"2025-11-25": 30, "2026-07-28": 37}
# By kind of upstream, revision and scenario, why it cannot pass. An excuse whose scenario passes is stale and fails.
EXCUSED = {
    ("http-legacy", "2026-07-28", "input-required-result-basic-elicitation"): (
        "it wants the key that a modern server would give its question; a legacy server's question has none, so the "
        "gateway names it input-1"
    )
}
LEGS = [(kind, revision) for kind in KINDS for revision in SCORED]


@pytest.mark.parametrize(("kind", "revision"), LEGS, ids=[f"{kind}-{revision}" for kind, revision in LEGS])
def test_every_scored_scenario_passes_through_the_gateway(kind: str, revision: str, tmp_path: Path) -> None:
    results = tmp_path / "results"
    results.mkdir()
    with relayed(tmp_path, kind) as url:
        outcome = run_suite(url, revision, results)
    assert len(outcome.scored) == SCORED[revision]
    excused = {scenario for upstream, spoken, scenario in EXCUSED if (upstream, spoken) == (kind, revision)}
    failed = outcome.failed & outcome.scored
    assert {name: outcome.reasons[name] for name in failed - excused} == {}
    assert excused <= failed, "an excuse is stale"
