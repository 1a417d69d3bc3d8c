"""Routes that answer in every way an HTTP service may: slowly, with errors, compressed, large, binary."""

import zlib
from collections.abc import AsyncIterator, Callable
from enum import StrEnum
from typing import Annotated

import anyio
from fastapi import APIRouter, Path, Query, Request, Response
from fastapi.responses import JSONResponse, RedirectResponse, StreamingResponse
from pydantic import BaseModel, Field

from portico.demo import problems
from portico.demo.media import page

MAX_LARGE = 64 * 1024 * 1024
BLOCK = 64 * 1024

routes = APIRouter(tags=["answers"])


class Health(BaseModel):
    """How the service is."""

    status: str = Field(description="Always ok", examples=["ok"])


class Waited(BaseModel):
    """The end of a slow answer."""

    seconds: float = Field(description="How long it took", examples=[1.5])


class Encoding(StrEnum):
    """A content coding of HTTP."""

    GZIP = "gzip"
    BR = "br"
    ZSTD = "zstd"
    DEFLATE = "deflate"


@routes.get("/healthz", operation_id="getHealth", summary="Get the health")
async def get_health() -> Health:
    """Answers as soon as the service can."""
    return Health(status="ok")


@routes.get("/slow", operation_id="waitSlowly", summary="Wait")
async def wait_slowly(
    request: Request,
    seconds: Annotated[float, Query(ge=0, le=120, description="How long to wait", examples=[1.5])] = 1,
) -> Waited:
    """Answers after some seconds, and stops waiting when the client leaves."""
    with anyio.move_on_after(seconds):
        while (await request.receive())["type"] != "http.disconnect":
            pass
    return Waited(seconds=seconds)


@routes.get("/fail/{status}", operation_id="fail", summary="Fail")
async def fail(
    status: Annotated[int, Path(ge=400, le=599, description="HTTP status to answer with", examples=[503])],
) -> Response:
    """Answers with an error of any status."""
    return problems.answer(status, f"failed with {status}, as asked")


@routes.get(
    "/text",
    operation_id="getText",
    summary="Get plain text",
    response_class=Response,
    responses={200: {"content": {"text/plain": {}}, "description": "Text in UTF-8"}},
)
async def get_text() -> Response:
    """Text with letters beyond ASCII."""
    return Response("Grüße aus dem Portikus. ✓\n", media_type="text/plain")


@routes.get("/redirect", operation_id="redirect", summary="Be sent elsewhere", status_code=302)
async def redirect() -> RedirectResponse:
    """Points to /text."""
    return RedirectResponse("/text", 302)


@routes.get(
    "/report.pdf",
    operation_id="getReport",
    summary="Get a report",
    response_class=Response,
    responses={200: {"content": {"application/pdf": {}}, "description": "A document of one page"}},
)
async def get_report() -> Response:
    """A PDF of one page."""
    return Response(page("Two users, no complaints."), media_type="application/pdf")


@routes.get(
    "/blob",
    operation_id="getBlob",
    summary="Get bytes",
    response_class=Response,
    responses={200: {"content": {"application/octet-stream": {}}, "description": "256 bytes"}},
)
async def get_blob() -> Response:
    """Every byte from 0 to 255 once."""
    return Response(bytes(range(256)), media_type="application/octet-stream")


@routes.get(
    "/large",
    operation_id="getLarge",
    summary="Get much text",
    response_class=Response,
    responses={200: {"content": {"text/plain": {}}, "description": "That many letters x"}},
)
async def get_large(
    size: Annotated[int, Query(alias="bytes", ge=0, le=MAX_LARGE, description="Length of the answer")] = BLOCK,
) -> StreamingResponse:
    """As many bytes as asked for, in blocks, without a Content-Length."""

    async def blocks() -> AsyncIterator[bytes]:
        for start in range(0, size, BLOCK):
            yield b"x" * min(BLOCK, size - start)

    return StreamingResponse(blocks(), media_type="text/plain")


# Sent as it stands, because a JSON library might round what must arrive exactly.
NUMBERS = b"""{"twentyDigits": 12345678901234567890, "negative": -9007199254740993, "small": 42, "fraction": 0.1,
 "exponent": 1.5e300, "manyPlaces": 3.14159265358979323846, "trailingZero": 1.0, "asText": "12345678901234567890"}
"""


class Numbers(BaseModel):
    """Numbers that a careless reader changes."""

    twenty_digits: int = Field(alias="twentyDigits", description="Larger than 64 signed bits")
    negative: int = Field(description="Not exact as a double")
    small: int = Field(description="An ordinary number")
    fraction: float = Field(description="A tenth")
    exponent: float = Field(description="Near the largest double")
    many_places: float = Field(alias="manyPlaces", description="More digits than a double has")
    trailing_zero: float = Field(alias="trailingZero", description="1.0, not 1")
    as_text: str = Field(alias="asText", description="Digits in a string, which stay a string")


@routes.get("/numbers", operation_id="getNumbers", summary="Get difficult numbers", response_model=Numbers)
async def get_numbers() -> Response:
    """JSON with numbers that lose digits when they are read carelessly."""
    return Response(NUMBERS, media_type="application/json")


class Compressed(BaseModel):
    """What every compressed answer says."""

    encoding: Encoding = Field(description="The coding of this answer")
    text: str = Field(description="A sentence, many times over")


@routes.get(
    "/compressed/{encoding}", operation_id="getCompressed", summary="Get a compressed answer", response_model=Compressed
)
async def get_compressed(
    encoding: Annotated[Encoding, Path(description="How to compress the answer", examples=["gzip"])],
) -> Response:
    """JSON in the coding asked for, whatever Accept-Encoding says."""
    plain = JSONResponse({"encoding": encoding, "text": "Well packed is half delivered. " * 40}).body
    headers = {"Content-Encoding": encoding.value}
    return Response(_packers()[encoding](bytes(plain)), headers=headers, media_type="application/json")


def _packers() -> dict[Encoding, Callable[[bytes], bytes]]:
    import brotli
    import zstandard

    return {
        Encoding.GZIP: lambda data: zlib.compress(data, wbits=31),
        Encoding.BR: brotli.compress,
        Encoding.ZSTD: zstandard.ZstdCompressor().compress,
        Encoding.DEFLATE: zlib.compress,
    }
