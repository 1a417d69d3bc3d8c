"""python -m bench: measure, print, and keep the raw results. See README.md beside this file."""

from __future__ import annotations

import argparse
import datetime
import json
import resource
import signal
import sys
import tempfile
from pathlib import Path

from bench.machine import ROOT
from bench.run import SINGLES, Plan, Run
from bench.scenarios import SCENARIOS

RESULTS = ROOT / "bench/results"
PAGE = ROOT / "docs/performance.md"
PICTURE = ROOT / "docs/performance.svg"


def main() -> int:
    arguments = parse()
    _allow_files()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    with tempfile.TemporaryDirectory(prefix="portico-bench-") as directory:
        Path(directory).chmod(0o755)
        with Run(plan(arguments), Path(directory)) as run:
            if arguments.profile:
                run.profile()
                return 0
            report = run.measure()
    print("\n" + report.text())
    data = report.as_json()
    kept = RESULTS if arguments.publish else RESULTS / "local"
    kept.mkdir(parents=True, exist_ok=True)
    path = kept / f"{datetime.date.today()}-{report.machine['portico']}.json"
    path.write_text(json.dumps(data, indent=1) + "\n")
    print(f"\nRaw results: {path.relative_to(ROOT)}")
    if arguments.publish:
        report.publish(PAGE, PICTURE)
        print(f"Refreshed: {PAGE.relative_to(ROOT)}, {PICTURE.relative_to(ROOT)}")
    return 0 if report.clean else 1


def parse() -> argparse.Namespace:
    names = [scenario.name for scenario in SCENARIOS] + list(SINGLES)
    parser = argparse.ArgumentParser(prog="python -m bench", description="Measures the gateway against nginx.")
    parser.add_argument("--quick", action="store_true", help="3 rounds of 2 seconds")
    parser.add_argument("--full", action="store_true", help="10,000 idle streams of each kind")
    parser.add_argument("--only", action="append", choices=names, metavar="NAME", help=", ".join(names))
    parser.add_argument("--profile", action="store_true", help="py-spy on the gateway in the scenario (rest-modern)")
    parser.add_argument("--publish", action="store_true", help="keep the results, refresh docs/performance.*")
    return parser.parse_args()


def plan(arguments: argparse.Namespace) -> Plan:
    rounds, seconds = (3, 2.0) if arguments.quick else (5, 5.0)
    return Plan(rounds, seconds, 10_000 if arguments.full else 1_000, frozenset(arguments.only or ()))


def _allow_files() -> None:
    """Each idle stream is a descriptor here and one in the gateway, which inherits this bound."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


if __name__ == "__main__":
    try:
        sys.exit(main())
    except RuntimeError as error:
        print(f"bench: {error}", file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)
