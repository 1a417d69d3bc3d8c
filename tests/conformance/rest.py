"""The REST service behind the conformance document: a text, pictures and sounds, a slow answer, an error, records.

    python rest.py

It listens on a free port of 127.0.0.1 and prints its address as the first line.
"""

import base64
import socket
from asyncio import sleep

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg=="
)
WAV = base64.b64decode("UklGRiQAAABXQVZFZm10IBAAAAABAAEAESsAACJWAAACABAAZGF0YQAAAAA=")
LONGEST = 10.0


async def text(request: Request) -> Response:
    return PlainTextResponse("This is a simple text response for testing.")


async def note(request: Request) -> Response:
    return PlainTextResponse("This is an embedded resource content.")


async def image(request: Request) -> Response:
    return Response(PNG, media_type="image/png")


async def audio(request: Request) -> Response:
    return Response(WAV, media_type="audio/wav")


async def mixed(request: Request) -> Response:
    return JSONResponse(
        {
            "title": "Multiple content types test:",
            "picture": base64.b64encode(PNG).decode(),
            "data": {"test": "data", "value": 123},
        }
    )


async def slow(request: Request) -> Response:
    seconds = min(float(request.query_params.get("seconds", "1")), LONGEST)
    await sleep(seconds)
    return PlainTextResponse(f"Done after {seconds} s.")


async def error(request: Request) -> Response:
    return PlainTextResponse("This tool intentionally returns an error for testing", status_code=500)


async def record(request: Request) -> Response:
    identifier = request.path_params["identifier"]
    return JSONResponse({"id": identifier, "templateTest": True, "data": f"Data for ID: {identifier}"})


async def echo(request: Request) -> Response:
    body = await request.body()
    return JSONResponse({"query": dict(request.query_params), "body": body.decode()})


app = Starlette(
    routes=[
        Route("/text", text),
        Route("/note", note),
        Route("/image", image),
        Route("/audio", audio),
        Route("/mixed", mixed),
        Route("/slow", slow),
        Route("/error", error),
        Route("/records/{identifier}", record),
        Route("/echo", echo, methods=["GET", "POST"]),
    ]
)


def main() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        print(f"http://127.0.0.1:{listener.getsockname()[1]}", flush=True)
        config = uvicorn.Config(app, log_level="warning", access_log=False)
        uvicorn.Server(config).run(sockets=[listener])


if __name__ == "__main__":
    main()
