"""The conformance document served by a gateway over the REST service, as real processes on free ports."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.e2e.running import gateway, said_url, stop

HERE = Path(__file__).parent
DOCUMENT = HERE / "conformance.yaml"
NOWHERE = "http://127.0.0.1:9"


@contextmanager
def endpoint(folder: Path, workers: int) -> Iterator[str]:
    """The endpoint's URL; it is asked as `localhost` because the suite checks what becomes of other hosts."""
    documents = folder / "documents"
    documents.mkdir()
    with rest_service(folder / "rest.txt") as address:
        text = DOCUMENT.read_text()
        assert text.count(NOWHERE) == 1, f"{DOCUMENT.name} should name {NOWHERE} once"
        (documents / DOCUMENT.name).write_text(text.replace(NOWHERE, address))
        with gateway(documents, folder / "gateway.txt", "--workers", str(workers)) as (url, _):
            yield f"{url.replace('127.0.0.1', 'localhost')}/conformance/mcp"


@contextmanager
def rest_service(said: Path) -> Iterator[str]:
    with said.open("wb") as output:
        command = [sys.executable, str(HERE / "rest.py")]
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT)
    try:
        yield said_url(said, r"(http://127\.0\.0\.1:\d+)\n", process)
    finally:
        stop(process)
