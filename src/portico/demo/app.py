"""The application of the demo service: every route, its state, and the journal around it."""

from typing import TextIO

from fastapi import FastAPI

from portico.demo import answers, echo, login, problems, users
from portico.demo.journal import Journal
from portico.demo.people import seeded

DESCRIPTION = """A small users API to try things on. Everything is kept in memory and gone at the end.

Two users are there from the start: `ada@example.com`, an admin, and `grace@example.com`."""


def create_app(log: TextIO | None) -> FastAPI:
    """A service of its own, with two users, that writes one JSON line per request to `log`."""
    app = FastAPI(
        title="Portico demo: users",
        version="1.0.0",
        description=DESCRIPTION,
        responses=problems.documented(422),
        docs_url=None,
        redoc_url=None,
    )
    app.state.directory = seeded()
    app.state.sessions = {}
    for part in (users, login, answers, echo):
        app.include_router(part.routes)
    problems.install(app)
    app.add_middleware(Journal, stream=log)
    return app
