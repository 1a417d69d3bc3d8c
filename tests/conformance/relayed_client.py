"""What the suite runs as the client in its client scenarios: a gateway before its server, and a real client.

`python -m tests.conformance.relayed_client URL`, from the root of the repository; ends with the client's status.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.clients.programs import CLIENTS, NODE
from tests.e2e.running import gateway

WAIT = 30


def main() -> int:
    with tempfile.TemporaryDirectory(prefix="portico-relayed-") as name:
        folder = Path(name)
        documents = folder / "documents"
        documents.mkdir()
        (documents / "relayed.json").write_text(document(sys.argv[-1]))
        log = folder / "gateway.txt"
        with gateway(documents, log) as (url, _):
            command = [str(NODE), str(CLIENTS / "relay_client.mjs"), f"{url}/demo/mcp"]
            status = subprocess.run(command, timeout=WAIT, check=False).returncode
        print(log.read_text(), file=sys.stderr)
    return status


def document(url: str) -> str:
    return json.dumps(
        {
            "version": 1,
            "name": "relayed",
            "routers": [{"prefix": "/demo", "server": "suite"}],
            "mcpServers": {"suite": {"url": url}},
        }
    )


if __name__ == "__main__":
    sys.exit(main())
