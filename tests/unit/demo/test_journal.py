"""The log of the demo service, which tests of the gateway take as the truth about what was sent."""

import io
import json
import queue
import socket
import threading
from collections.abc import Iterator
from typing import Any

import pytest
import uvicorn
from starlette.testclient import TestClient

from portico.demo.app import create_app

WAIT = 10


class Lines(io.StringIO):
    """A log stream that hands every written line to whoever waits for it."""

    def __init__(self) -> None:
        super().__init__()
        self.arrived: queue.Queue[str] = queue.Queue()

    def write(self, text: str) -> int:
        self.arrived.put(text)
        return len(text)

    def next(self) -> dict[str, Any]:
        return json.loads(self.arrived.get(timeout=WAIT))


@pytest.fixture
def lines() -> Lines:
    return Lines()


@pytest.fixture
def address(lines: Lines) -> Iterator[tuple[str, int]]:
    """The service behind a real server, because only a real connection can break."""
    server = uvicorn.Server(uvicorn.Config(create_app(lines), log_level="error", timeout_graceful_shutdown=1))
    with socket.create_server(("127.0.0.1", 0)) as listener:
        # The listener queues connections from now on, so nobody has to wait for the server to be up.
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        yield listener.getsockname()
        server.should_exit = True
        thread.join(WAIT)
        assert not thread.is_alive()


def exchange(address: tuple[str, int], request: bytes) -> bytes:
    with socket.create_connection(address, timeout=WAIT) as connection:
        connection.sendall(request)
        answer = b""
        while block := connection.recv(65536):
            answer += block
    return answer


def test_a_line_says_what_came_over_the_wire(address: tuple[str, int], lines: Lines) -> None:
    body = '{"name": "Grüße"}'.encode()
    head = (
        "POST /echo/a%2Fb%20c?tag=%C3%A9&tag=2 HTTP/1.1\r\nHost: demo\r\nX-Trace: one\r\nx-trace: two\r\n"
        f"Connection: close\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    assert exchange(address, head.encode() + body).startswith(b"HTTP/1.1 200")
    line = lines.next()
    assert line.pop("duration_ms") >= 0
    assert line == {
        "method": "POST",
        "path": "/echo/a%2Fb%20c",
        "query": "tag=%C3%A9&tag=2",
        "headers": {"host": "demo", "x-trace": "one, two", "connection": "close", "content-length": str(len(body))},
        "body": '{"name": "Grüße"}',
        "bodySize": len(body),
        "status": 200,
        "outcome": "completed",
    }


def test_a_client_that_leaves_is_noted_at_once(address: tuple[str, int], lines: Lines) -> None:
    with socket.create_connection(address, timeout=WAIT) as connection:
        connection.sendall(b"GET /slow?seconds=120 HTTP/1.1\r\nHost: demo\r\n\r\n")
    line = lines.next()
    assert (line["path"], line["outcome"], line["status"]) == ("/slow", "disconnected", None)
    assert line["duration_ms"] < WAIT * 1000


def test_a_client_that_leaves_before_the_end_of_its_body_is_noted(address: tuple[str, int], lines: Lines) -> None:
    with socket.create_connection(address, timeout=WAIT) as connection:
        connection.sendall(b"POST /echo HTTP/1.1\r\nHost: demo\r\nContent-Length: 100\r\n\r\nbegin")
    line = lines.next()
    assert (line["outcome"], line["status"]) == ("disconnected", None)


def test_a_slow_answer_that_is_waited_for_is_complete(address: tuple[str, int], lines: Lines) -> None:
    answer = exchange(address, b"GET /slow?seconds=0.05 HTTP/1.1\r\nHost: demo\r\nConnection: close\r\n\r\n")
    assert answer.endswith(b'{"seconds":0.05}')
    line = lines.next()
    assert (line["outcome"], line["status"]) == ("completed", 200)
    assert line["duration_ms"] >= 50


def test_the_body_of_a_route_that_ignores_it_is_noted() -> None:
    log = io.StringIO()
    TestClient(create_app(log)).request("GET", "/fail/500", content=b"unread")
    line = json.loads(log.getvalue())
    assert (line["body"], line["status"]) == ("unread", 500)


def test_a_binary_body_is_noted_in_base64_and_a_long_one_in_part() -> None:
    log = io.StringIO()
    client = TestClient(create_app(log))
    client.post("/echo", content=b"\xff\x00")
    client.post("/echo", content="éx".encode() * 40_000)
    binary, long = map(json.loads, log.getvalue().splitlines())
    assert binary["bodyBase64"] == "/wA="
    assert "body" not in binary
    assert (len(long["body"].encode()), long["bodySize"]) == (65535, 120_000)


def test_a_body_beyond_the_limit_is_refused() -> None:
    log = io.StringIO()
    answer = TestClient(create_app(log)).post("/echo", content=b"x" * (16 * 1024 * 1024 + 1))
    assert answer.status_code == 413
    assert json.loads(log.getvalue())["status"] == 413


def test_without_a_stream_nothing_is_written() -> None:
    assert TestClient(create_app(None)).get("/healthz").status_code == 200
