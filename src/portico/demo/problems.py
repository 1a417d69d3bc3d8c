"""Errors of the demo service, as problem documents (RFC 9457)."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException

MEDIA_TYPE = "application/problem+json"
REFERENCE = "#/components/schemas/Problem"


class Fault(BaseModel):
    """One thing that is wrong with a request."""

    where: str = Field(description="Path to the value", examples=["body.username"])
    what: str = Field(description="What is wrong with it", examples=["String should have at least 1 character"])


class Problem(BaseModel):
    """Why a request was not fulfilled."""

    type: str = Field(default="about:blank", description="Kind of the problem, as a URI")
    title: str = Field(description="Name of the HTTP status", examples=["Not Found"])
    status: int = Field(description="HTTP status", examples=[404])
    detail: str = Field(description="What happened, and how to mend it", examples=["no user has this e-mail address"])
    errors: list[Fault] | None = Field(default=None, description="Every fault of an invalid request")


# Python 3.11 still calls two of them by the names of an older RFC.
TITLES = {status.value: status.phrase for status in HTTPStatus} | {
    413: "Content Too Large",
    422: "Unprocessable Content",
}


def documented(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The `responses` of a route that may answer with these statuses."""
    return {status: {"model": Problem, "description": TITLES[status]} for status in statuses}


def answer(
    status: int, detail: str, errors: list[Fault] | None = None, headers: Mapping[str, str] | None = None
) -> JSONResponse:
    """A problem as a response."""
    problem = Problem(title=TITLES.get(status, "Error"), status=status, detail=detail, errors=errors)
    return JSONResponse(problem.model_dump(exclude_none=True), status, headers, MEDIA_TYPE)


async def _invalid(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    faults = [Fault(where=".".join(map(str, fault["loc"])), what=fault["msg"]) for fault in error.errors()]
    return answer(422, "the request is not valid, see errors", faults)


async def _refused(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    return answer(error.status_code, error.detail, headers=error.headers)


def install(app: FastAPI) -> None:
    """Answer every error of `app` with a problem, and say so in its OpenAPI document."""
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _refused)
    described = app.openapi

    def openapi() -> dict[str, Any]:
        document = described()
        for path in document["paths"].values():
            for operation in path.values():
                for response in operation["responses"].values():
                    _name_media_type(response.get("content", {}))
        return document

    app.openapi = openapi


def _name_media_type(content: dict[str, Any]) -> None:
    # FastAPI documents every model as application/json, whatever the handler sends.
    if content.get("application/json", {}).get("schema", {}).get("$ref") == REFERENCE:
        content[MEDIA_TYPE] = content.pop("application/json")
