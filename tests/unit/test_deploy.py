"""The dashboard and the alerts of deploy/ ask for metrics and labels that there are, and fire when they should."""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from portico.observe.metrics import METRICS
from portico.wire import errors

DEPLOY = Path(__file__).parents[2] / "deploy"
DASHBOARD = json.loads((DEPLOY / "grafana" / "portico.json").read_text())
ALERTS = [rule for group in yaml.safe_load((DEPLOY / "prometheus" / "alerts.yaml").read_text())["groups"]
          for rule in group["rules"]]  # fmt: skip
PROMTOOL = shutil.which("promtool")
# What Prometheus adds to every series, and the bucket of a histogram.
ADDED = {"instance", "job", "le"}


def queries() -> Iterator[str]:
    for panel in DASHBOARD["panels"]:
        for target in panel.get("targets", []):
            yield target["expr"]
    for variable in DASHBOARD["templating"]["list"]:
        if variable["type"] == "query":
            yield variable["query"]["query"]


def sample_names() -> set[str]:
    found = set()
    for metric in METRICS.values():
        ends = ("_bucket", "_count", "_sum") if metric.kind == "histogram" else ("",)
        found |= {metric.name + end for end in ends}
    return found


def metrics_in(query: str) -> set[str]:
    return set(re.findall(r"\b(?:portico|process)_[a-z_]+", re.sub(r'"[^"]*"', '""', query)))


def labels_in(query: str) -> set[str]:
    bare = re.sub(r'"[^"]*"', '""', query)
    matched = re.findall(r"([a-z_]+)\s*(?:=~|!~|!=|=)", "".join(re.findall(r"\{[^}]*\}", bare)))
    grouped = re.findall(r"\bby \(([^)]*)\)", bare)
    return {*matched, *(name.strip() for group in grouped for name in group.split(","))}


EXPRESSIONS = [*queries(), *(rule["expr"] for rule in ALERTS)]


@pytest.mark.parametrize("query", EXPRESSIONS)
def test_a_query_names_metrics_and_labels_that_there_are(query: str) -> None:
    names = metrics_in(query)
    assert names <= sample_names()
    assert names or query.startswith("up{")
    known = {label for name in names for label in METRICS[re.sub(r"_(bucket|count|sum)$", "", name)].labels}
    assert labels_in(query) <= known | ADDED


def test_the_dashboard_shows_every_metric() -> None:
    shown = {re.sub(r"_(bucket|count|sum)$", "", name) for query in queries() for name in metrics_in(query)}
    assert shown == set(METRICS)


def test_every_legend_is_made_of_labels_of_its_query() -> None:
    for panel in DASHBOARD["panels"]:
        for target in panel.get("targets", []):
            known = labels_in(target["expr"]) | ADDED
            if "sum" not in target["expr"] and "histogram" not in target["expr"]:
                known |= {label for name in metrics_in(target["expr"]) for label in METRICS[name].labels}
            assert set(re.findall(r"\{\{(\w+)\}\}", target["legendFormat"])) <= known, panel["title"]


def test_the_panels_have_titles_and_places_of_their_own() -> None:
    places: set[tuple[int, int]] = set()
    assert len({panel["id"] for panel in DASHBOARD["panels"]}) == len(DASHBOARD["panels"])
    for panel in DASHBOARD["panels"]:
        assert panel["title"]
        at = panel["gridPos"]
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert not cells & places, panel["title"]
        assert at["x"] + at["w"] <= 24
        places |= cells


def test_the_error_codes_of_queries_are_those_of_the_protocol() -> None:
    codes = {value for name, value in vars(errors).items() if name.isupper() and isinstance(value, int)}
    named = {int(code) for query in EXPRESSIONS for code in re.findall(r"error (-\d+)", query)}
    assert named
    assert named <= codes


def test_every_alert_says_what_happened_and_what_to_do() -> None:
    assert len({rule["alert"] for rule in ALERTS}) == len(ALERTS)
    for rule in ALERTS:
        assert rule["labels"]["severity"] in ("critical", "warning", "info")
        assert rule["annotations"].keys() == {"summary", "description"}
        assert all(text.endswith(".") for text in rule["annotations"].values())


CALLS = (
    'portico_call_duration_seconds_count{instance="a",job="portico",endpoint="/e",method="tools/call",name="t",outcome='
)
BUCKET = 'portico_call_duration_seconds_bucket{instance="a",job="portico",endpoint="/e",method="tools/call",le='
HERE = '{instance="a",job="portico"}'
UPSTREAM = '{instance="a",job="portico",upstream="u:1"}'
WORKER = '{instance="a",job="portico",worker="0"}'
# What makes each alert fire, and what does not: series of half an hour, by minutes.
FIRING: dict[str, dict[str, str]] = {
    "PorticoDown": {f"up{HERE}": "0x30"},
    "PorticoServesNothing": {f"portico_endpoints{HERE}": "0x30"},
    "PorticoErrors": {f'{CALLS}"ok"}}': "0+90x30", f'{CALLS}"tool error"}}': "0+10x30"},
    "PorticoUpstreamFailing": {
        f"portico_upstream_failures_total{UPSTREAM}": "0+1x30",
        f"portico_upstream_requests_total{UPSTREAM}": "0x30",
    },
    "PorticoDocumentProblems": {f"portico_problem_documents{HERE}": "1x30"},
    "PorticoReloadFailing": {f"portico_reload_failures_total{HERE}": "0+1x30"},
    "PorticoSlowCalls": {
        f'{BUCKET}"5.0"}}': "0+90x30",
        f'{BUCKET}"10.0"}}': "0+100x30",
        f'{BUCKET}"+Inf"}}': "0+100x30",
    },
    "PorticoStreamsNearLimit": {
        f'portico_streams{{kind="sse",{HERE[1:]}': "5000x30",
        f'portico_streams{{kind="call",{HERE[1:]}': "4000x30",
        f"portico_streams_limit{HERE}": "10000x30",
    },
    "PorticoDescriptorsNearLimit": {f"process_open_fds{WORKER}": "900x30", f"process_max_fds{WORKER}": "1000x30"},
    "PorticoWorkersRestarting": {f"portico_worker_restarts_total{HERE}": "0+1x30"},
    "PorticoLogLinesLost": {f"portico_lost_log_lines_total{HERE}": "0+5x30"},
}
QUIET = {
    f"up{HERE}": "1x30",
    f"portico_endpoints{HERE}": "3x30",
    f'{CALLS}"ok"}}': "0+99x30",
    f'{CALLS}"error -32602"}}': "0+50x30",
    f"portico_upstream_failures_total{UPSTREAM}": "3x30",
    f"portico_upstream_requests_total{UPSTREAM}": "0+100x30",
    f"portico_upstream_breakers_open{UPSTREAM}": "0x30",
    f"portico_problem_documents{HERE}": "0x30",
    f"portico_reload_failures_total{HERE}": "2x30",
    f'{BUCKET}"5.0"}}': "0+100x30",
    f'{BUCKET}"+Inf"}}': "0+100x30",
    f'portico_streams{{kind="sse",{HERE[1:]}': "5000x30",
    f"portico_streams_limit{HERE}": "10000x30",
    f"process_open_fds{WORKER}": "100x30",
    f"process_max_fds{WORKER}": "1000x30",
    f"portico_worker_restarts_total{HERE}": "1x30",
    f"portico_lost_log_lines_total{HERE}": "7x30",
}


def test_each_alert_has_an_example() -> None:
    assert FIRING.keys() == {rule["alert"] for rule in ALERTS}


def promtool(*arguments: str, cwd: Path = DEPLOY / "prometheus") -> None:
    assert PROMTOOL, "promtool is missing: `make test` installs Debian's package prometheus"
    done = subprocess.run([PROMTOOL, *arguments], cwd=cwd, capture_output=True, text=True, timeout=30)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.e2e
def test_promtool_takes_the_rules_and_the_scrape_job() -> None:
    promtool("check", "rules", "alerts.yaml")
    promtool("check", "config", "prometheus.yaml")


@pytest.mark.e2e
@pytest.mark.parametrize("alert", list(FIRING))
def test_an_alert_fires_for_its_cause_and_not_in_quiet_times(alert: str, tmp_path: Path) -> None:
    cases: list[dict[str, Any]] = []
    for series, firing in ((FIRING[alert], True), (QUIET, False)):
        count = f'count(ALERTS{{alertname="{alert}",alertstate="firing"}}) or vector(0)'
        wanted = {"labels": "{}", "value": int(firing)}
        cases.append({
            "interval": "1m",
            "input_series": [{"series": name, "values": values} for name, values in series.items()],
            "promql_expr_test": [{"expr": count, "eval_time": "25m", "exp_samples": [wanted]}],
        })  # fmt: skip
    test = {"rule_files": [str(DEPLOY / "prometheus" / "alerts.yaml")], "evaluation_interval": "1m", "tests": cases}
    (tmp_path / "test.yaml").write_text(json.dumps(test))
    promtool("test", "rules", "test.yaml", cwd=tmp_path)
