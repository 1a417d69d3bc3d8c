"""A client whose requests are spans of a sampled call's trace, and tell the upstream so."""

from __future__ import annotations

from typing import Any

from portico.net.errors import NetError
from portico.net.origin import Origin, authority
from portico.observe.tracing import CallTrace
from portico.upstream.http_answer import Response

# Headers that a document writes itself are its own: where it writes one of these, neither is added.
CONTEXT_HEADERS = frozenset(("traceparent", "tracestate"))


class Traced:
    """`target` is the path and query as logs may see them; `tells` is whether the upstream learns of the trace."""

    __slots__ = ("_client", "_method", "_target", "_tells", "_trace")

    def __init__(self, client: Any, trace: CallTrace, method: str, target: str, tells: bool) -> None:
        self._client = client
        self._trace = trace
        self._method = method
        self._target = target
        self._tells = tells

    async def send(self, origin: Origin, data: bytes, **more: Any) -> Response:
        url = f"{origin.scheme}://{authority(origin.host, origin.port)}{self._target}"
        span = self._trace.request(self._method, url, origin.host, origin.port)
        if self._tells:
            line, _, rest = data.partition(b"\r\n")
            data = b"%b\r\n%b%b" % (line, span.headers, rest)
        try:
            response = await self._client.send(origin, data, **more)
        except NetError as error:
            span.failed(type(error).__name__)
            raise
        except BaseException:
            span.failed("cancelled")
            raise
        span.answered(response.status)
        return response
