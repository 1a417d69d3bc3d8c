"""A tool that is one request to a REST API: rendered, sent, shaped. What goes wrong becomes an answer that says so."""

from __future__ import annotations

from collections.abc import Awaitable, Mapping
from time import monotonic
from typing import Any, Protocol

from portico.config.document import Tool
from portico.net.errors import Busy, NetError, TimedOut
from portico.net.origin import Origin
from portico.observe.tracing import CallTrace
from portico.template import RenderError
from portico.upstream.http_answer import Response, Shaped, compile_answer, failure
from portico.upstream.http_request import RenderedRequest, compile_request, reads_of_request
from portico.upstream.traced import CONTEXT_HEADERS, Traced
from portico.wire import errors
from portico.wire.errors import RpcError


class Client(Protocol):
    """What is needed of portico.net's HttpClient."""

    async def send(
        self,
        origin: Origin,
        data: bytes,
        *,
        head_request: bool = False,
        deadline: float,
        idempotent: bool,
    ) -> Response: ...


class HttpTool:
    """Compiled when a document is loaded; raises TemplateError for a tool that could never be called."""

    __slots__ = ("_answer", "_client", "_tells", "name", "plan", "render", "request_reads")

    def __init__(self, tool: Tool, values: Mapping[str, Any], secrets: Mapping[str, str], client: Client) -> None:
        self.name = tool.name
        self._client = client
        self.plan = compile_request(tool, values, secrets)
        self.render = self.plan.render
        self._answer = compile_answer(tool, values)
        self._tells = CONTEXT_HEADERS.isdisjoint(_written(tool))
        self.request_reads = reads_of_request(self.plan.reads | self._answer.reads)

    async def call(
        self,
        arguments: dict[str, Any],
        request: Mapping[str, Any],
        session: str | None,
        deadline: float,
        trace: CallTrace | None = None,
    ) -> Shaped:
        """`deadline` is a point of the monotonic clock, which is the event loop's.

        Needs no task and no running loop: it may be stepped until it has to wait.
        """
        scope = {"args": arguments, "request": request, "session": {"id": session}}
        try:
            rendered = self.render(scope)
        except RenderError as error:
            return failure(f"The request to the upstream could not be written: {error.message}.")
        return await self.answer(rendered, scope, deadline, trace)

    async def answer(
        self, rendered: RenderedRequest, scope: dict[str, Any], deadline: float, trace: CallTrace | None = None
    ) -> Shaped:
        """What the upstream says to a request that `render` made of the same scope."""
        plan, client = self.plan, self._client
        if trace is not None:
            client = Traced(client, trace, plan.method, rendered.target, self._tells)
        started = monotonic()
        until = min(deadline, started + plan.timeout)
        try:
            response = await client.send(
                rendered.origin,
                rendered.data,
                head_request=plan.head_request,
                deadline=until,
                idempotent=plan.idempotent,
            )
        except NetError as error:
            return self.failed(error, rendered, until - started)
        return self.shaped(response, rendered, scope)

    def send(self, rendered: RenderedRequest, deadline: float) -> Awaitable[Response]:
        """Raises a NetError; see `failed`."""
        plan = self.plan
        return self._client.send(
            rendered.origin,
            rendered.data,
            head_request=plan.head_request,
            deadline=deadline,
            idempotent=plan.idempotent,
        )

    def shaped(self, response: Response, rendered: RenderedRequest, scope: dict[str, Any]) -> Shaped:
        shaped = self._answer.shape(response, scope)
        shaped.sent = self.plan.shown + rendered.target
        return shaped

    def failed(self, error: NetError, rendered: RenderedRequest, waited: float) -> Shaped:
        """The answer where there was none; RpcError when the client had better come back later."""
        if isinstance(error, Busy):
            raise RpcError(errors.OVERLOADED, f"{error.message}.", status=503, retry_after=1) from None
        shaped = failure(_sentence(error, rendered.origin, waited))
        shaped.sent = self.plan.shown + rendered.target
        return shaped


def _written(tool: Tool) -> set[str]:
    """The headers that the document writes, in lower case."""
    arguments = [arg.send_as or arg.name for arg in tool.args or [] if arg.position == "header"]
    return {name.lower() for name in [*tool.request.headers, *arguments]}


def _sentence(error: NetError, origin: Origin, waited: float) -> str:
    if isinstance(error, TimedOut) and error.sent:
        return f"{origin.name} did not answer within {waited:.3g} s."
    return f"{error.message}."
