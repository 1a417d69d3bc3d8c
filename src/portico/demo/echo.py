"""Routes that answer with the request itself, so that a caller sees what it really sent."""

from typing import Annotated
from urllib.parse import parse_qsl

from fastapi import APIRouter, Path, Request
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field

from portico.demo.journal import joined, readable

routes = APIRouter(tags=["echo"])


class Echo(BaseModel):
    """A request as it arrived."""

    method: str = Field(description="Its method", examples=["POST"])
    path: str = Field(description="Its path, decoded", examples=["/echo/a b"])
    raw_path: str = Field(alias="rawPath", description="Its path as sent", examples=["/echo/a%20b"])
    query: list[tuple[str, str]] = Field(description="Names and values of its query, decoded, in order")
    raw_query: str = Field(alias="rawQuery", description="Its query as sent", examples=["tag=a&tag=b"])
    headers: dict[str, str] = Field(description="Its headers by lower-case name")
    body: str | None = Field(default=None, description="Its body, if that is text in UTF-8")
    body_base64: str | None = Field(default=None, alias="bodyBase64", description="Its body, if that is not text")


async def echo(request: Request) -> JSONResponse:
    """Method, path, query, headers and body of the request."""
    raw_query = request.scope["query_string"].decode("latin-1")
    return JSONResponse(
        {
            "method": request.method,
            "path": request.url.path,
            "rawPath": request.scope.get("raw_path", b"").decode("latin-1"),
            "query": parse_qsl(raw_query, keep_blank_values=True),
            "rawQuery": raw_query,
            "headers": joined(request.scope["headers"]),
            **readable(await request.body()),
        }
    )


async def echo_path(
    request: Request, rest: Annotated[str, Path(description="Anything, slashes included", examples=["a/b"])]
) -> JSONResponse:
    """The same, under any path."""
    return await echo(request)


for verb in ("GET", "POST", "PUT", "PATCH", "DELETE"):
    for path, handler, name in (("/echo", echo, "echo"), ("/echo/{rest:path}", echo_path, "echoPath")):
        routes.add_api_route(
            path,
            handler,
            methods=[verb],
            operation_id=f"{name}{verb.capitalize()}",
            summary=f"Echo a {verb}",
            response_model=Echo,
        )
