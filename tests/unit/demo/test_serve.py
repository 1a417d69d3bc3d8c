"""The demo service as `portico demo` starts it: a process with a log file."""

import json
import re
import subprocess
import sys
import urllib.request
from pathlib import Path

WAIT = 30
SERVE = "import sys; from portico.demo import serve; serve('127.0.0.1', 0, sys.argv[1])"


def test_the_service_says_where_it_listens_and_appends_to_its_log(tmp_path: Path) -> None:
    log = tmp_path / "demo.log"
    log.write_text("kept\n")
    process = subprocess.Popen([sys.executable, "-c", SERVE, str(log)], stderr=subprocess.PIPE, text=True)
    try:
        assert process.stderr is not None
        address = next(found[0] for line in process.stderr if (found := re.search(r"http://[\d.:]+", line)))
        urllib.request.urlopen(f"{address}/healthz", timeout=WAIT).close()
        first, line = log.read_text().splitlines()
        assert first == "kept"
        assert json.loads(line)["path"] == "/healthz"
    finally:
        process.kill()
        process.wait(WAIT)


def test_importing_the_demo_does_not_import_fastapi() -> None:
    script = "import sys, portico.demo; sys.exit('fastapi' in sys.modules or 'uvicorn' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], timeout=WAIT).returncode == 0
