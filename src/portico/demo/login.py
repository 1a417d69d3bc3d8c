"""Routes that know who is asking: a form to log in, a cookie that remembers it, a bearer token."""

import secrets
from typing import Annotated

from fastapi import APIRouter, Cookie, Form, Header, Request, Response
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException

from portico.demo.problems import documented

PASSWORD = "demo-password"
TOKEN = "demo-token"
MAX_SESSIONS = 1000

# A session that is always there lets a client try the cookie without logging in first.
KNOWN_SESSIONS = {"demo-session": "ada"}

routes = APIRouter(tags=["login"])


class Login(BaseModel):
    """A successful login."""

    username: str = Field(description="Who has logged in", examples=["ada"])
    session: str = Field(description="Value of the cookie `session` that was set")


class Session(BaseModel):
    """What a request told about itself."""

    username: str = Field(description="Who the cookie belongs to", examples=["ada"])
    trace: str | None = Field(description="The header X-Trace, or null", examples=["trace-1"])


class Secret(BaseModel):
    """Something worth protecting."""

    secret: str = Field(description="The secret", examples=["the cake is real"])


@routes.post("/login", operation_id="login", summary="Log in", responses=documented(401))
async def login(
    request: Request,
    response: Response,
    username: Annotated[str, Form(description="Name of a user", min_length=1, examples=["ada"])],
    password: Annotated[str, Form(description="The password of every user is demo-password")],
) -> Login:
    """Start a session and set its cookie."""
    if password != PASSWORD or request.app.state.directory.by_username(username) is None:
        raise HTTPException(401, f"wrong user name or password; every user's password is {PASSWORD}")
    sessions: dict[str, str] = request.app.state.sessions
    if len(sessions) >= MAX_SESSIONS:
        del sessions[next(iter(sessions))]
    token = secrets.token_urlsafe(16)
    sessions[token] = username
    response.set_cookie("session", token, httponly=True, samesite="lax")
    return Login(username=username, session=token)


@routes.get("/session", operation_id="getSession", summary="Get the session", responses=documented(401))
async def get_session(
    request: Request,
    session: Annotated[str, Cookie(description="Set by POST /login; demo-session is always valid")] = "",
    x_trace: Annotated[str | None, Header(description="Any text, sent back")] = None,
) -> Session:
    """Who the cookie belongs to, and what the header X-Trace says."""
    username = KNOWN_SESSIONS.get(session) or request.app.state.sessions.get(session)
    if username is None:
        raise HTTPException(401, "the cookie session is missing or unknown; POST /login sets it")
    return Session(username=username, trace=x_trace)


@routes.get("/protected", operation_id="getProtected", summary="Get a secret", responses=documented(401))
async def get_protected(
    authorization: Annotated[str | None, Header(description=f"Bearer {TOKEN}", examples=[f"Bearer {TOKEN}"])] = None,
) -> Secret:
    """Needs the bearer token."""
    if authorization != f"Bearer {TOKEN}":
        raise HTTPException(401, f"send Authorization: Bearer {TOKEN}", {"WWW-Authenticate": "Bearer"})
    return Secret(secret="the cake is real")
