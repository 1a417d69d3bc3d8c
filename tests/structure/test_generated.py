"""Generated files are committed, and are what the code would generate now."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_committed_document_schema_is_what_portico_schema_prints() -> None:
    portico = Path(sys.executable).parent / "portico"
    printed = subprocess.run([portico, "schema"], capture_output=True, text=True, timeout=30, check=True)
    committed = (ROOT / "schema/document.schema.json").read_text()
    assert printed.stdout == committed, "the schema changed: run `make generate` and commit it"
