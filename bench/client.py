"""A plain HTTP/1.1 client, and a witness that looks whether answers belong to their requests."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable

from bench.messages import MARK

FIRST = 50_000_000
Fits = Callable[[int, bytes], bool]


class Answer:
    def __init__(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.status = status
        self.headers = headers
        self.body = body


class Client:
    """One connection that is kept alive. OSError when the server closes it or does not answer in time."""

    def __init__(self, port: int, timeout: float = 30, address: str = "127.0.0.1") -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=timeout, source_address=(address, 0))
        self._file = self._socket.makefile("rb")

    def ask(self, template: bytes, number: int = FIRST) -> Answer:
        self._socket.sendall(template.replace(MARK.encode(), str(number).encode()))
        line = self._file.readline().split(maxsplit=2)
        if len(line) < 2:
            raise ConnectionError("the server closed the connection")
        headers = {}
        while (header := self._file.readline().decode("latin-1").strip()) != "":
            name, _, value = header.partition(":")
            headers[name.lower()] = value.strip()
        return Answer(int(line[1]), headers, self._file.read(int(headers.get("content-length", 0))))

    def close(self) -> None:
        self._file.close()
        self._socket.close()


class Witness(threading.Thread):
    """Calls on one connection beside wrk, now and then, and judges every answer: its status, and whose value it has."""

    PAUSE = 0.005

    def __init__(self, port: int, template: bytes, fits: Fits) -> None:
        super().__init__(daemon=True)
        self._port = port
        self._template = template
        self._fits = fits
        self._ended = threading.Event()
        self.calls = 0
        self.wrong = 0
        self.example = ""

    def run(self) -> None:
        try:
            client = Client(self._port)
            while not self._ended.wait(self.PAUSE):
                number = FIRST + self.calls
                answer = client.ask(self._template, number)
                self.calls += 1
                if answer.status != 200 or not self._fits(number, answer.body):
                    self._accuse(f"{answer.status} {answer.body[:500]!r}")
            client.close()
        except OSError as error:
            self._accuse(str(error))

    def end(self) -> None:
        self._ended.set()
        self.join(60)

    def _accuse(self, example: str) -> None:
        self.wrong += 1
        self.example = self.example or example
