"""The demo service: a small users API to try Portico on, and the REST side of its tests.

It knows nothing of Portico: it is an HTTP service like the ones people already have.
"""

import sys
from contextlib import nullcontext


def serve(host: str, port: int, log: str | None) -> None:
    """Serve the demo until a signal ends it.

    `log` is a file that the journal is appended to, `-` for standard output, or None for no journal.
    """
    # FastAPI takes half a second to import, which no other command of Portico should pay.
    import uvicorn

    from portico.demo.app import create_app

    standard = nullcontext(sys.stdout if log == "-" else None)
    with standard if log in (None, "-") else open(log, "a", encoding="utf-8") as stream:
        uvicorn.run(create_app(stream), host=host, port=port, access_log=False, timeout_graceful_shutdown=1)
