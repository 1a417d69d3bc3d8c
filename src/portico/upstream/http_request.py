"""A tool's request, compiled: everything fixed is encoded once, and a call fills in the rest.

Outbound headers are built from nothing but the document: what the caller sent passes only where a template names it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import unquote, urlsplit

from portico.config.document import Argument, Request, Tool
from portico.net.origin import Origin, authority
from portico.template import (
    RenderError,
    Template,
    TemplateError,
    UrlTemplate,
    compile_header,
    compile_url,
)
from portico.upstream.http_body import compile_body, is_multipart
from portico.upstream.http_headers import Headers
from portico.upstream.http_query import Query

Scope = dict[str, Any]

ROOTS = frozenset({"args", "values", "secrets", "request", "session"})
MAX_HEAD = 65_536
_TOO_LONG = "the request's URL and headers are longer than 64 KiB"
_IDEMPOTENT = frozenset({"GET", "HEAD", "OPTIONS", "PUT", "DELETE"})


class RenderedRequest:
    """A request ready to send: head and body in one. `target` is for logs, with REDACTED for each secret."""

    __slots__ = ("data", "origin", "target")

    def __init__(self, origin: Origin, data: bytes, target: str) -> None:
        self.origin = origin
        self.data = data
        self.target = target


class RequestPlan:
    """`render(scope)` takes {"args": …, "request": …, "session": {"id": …}}; RenderError where the values do not fit.

    `request_reads` are the pairs ("headers" | "query" | "cookies", name) of the client's request that it reads.
    """

    __slots__ = ("head_request", "idempotent", "method", "origin", "reads", "render", "shown", "timeout")

    def __init__(self, tool: Tool, render: Callable[[Scope], RenderedRequest], origin: Origin | None) -> None:
        hint = tool.annotations.idempotent_hint if tool.annotations else None
        self.method = tool.request.method
        self.idempotent = self.method in _IDEMPOTENT or hint is True
        self.head_request = self.method == "HEAD"
        self.timeout = tool.request.timeout
        self.render = render
        self.origin = origin
        self.shown = f"{self.method} {origin.name}" if origin is not None else ""
        self.reads: frozenset[tuple[str, ...]] = frozenset()

    @property
    def request_reads(self) -> frozenset[tuple[str, str]]:
        return reads_of_request(self.reads)


def reads_of_request(reads: frozenset[tuple[str, ...]]) -> frozenset[tuple[str, str]]:
    return frozenset((read[1], read[2]) for read in reads if read[0] == "request")


class _Masked(dict[str, str]):
    """Secrets as logs may see them."""

    def get(self, key: str, default: Any = None) -> str:
        return "REDACTED"

    def __missing__(self, key: str) -> str:
        return "REDACTED"


def compile_request(tool: Tool, values: Mapping[str, Any], secrets: Mapping[str, str]) -> RequestPlan:
    """Raises TemplateError for a request that can never be sent. A missing secret fails the calls that need it."""
    bound = {"values": values, "secrets": secrets}

    def compiled(compiler: Callable[..., Template], source: Any, *extra: Any) -> Template:
        return compiler(source, ROOTS, *extra, bound=bound)

    url = compile_url(tool.request.url, ROOTS, bound)
    headers, query = Headers(tool, compiled, multipart=is_multipart(tool)), Query(tool, url, compiled)
    reads = url.reads | headers.reads | query.reads
    body = compile_body(tool, compiled, frozenset(read[1] for read in reads if read[0] == "args" and len(read) > 1))
    _refuse_lost_path_arguments(tool.args or [], url)
    try:
        origin, prefix = _origin(url, tool.request, compiled)
    except RenderError as error:
        return _failing(tool, error.message, reads | body.reads)
    masked = compile_url(tool.request.url, ROOTS, {"values": values, "secrets": _Masked()}) if url.secret else None
    shown_prefix = "/REDACTED" if url.base_secret and prefix else prefix
    prefixes = (prefix, shown_prefix)
    render = _renderer(tool.request.method, prefixes, origin, (url, masked), query, headers, body.render)
    plan = RequestPlan(tool, render, origin)
    plan.reads = reads | body.reads
    return plan


def _failing(tool: Tool, message: str, reads: frozenset[tuple[str, ...]]) -> RequestPlan:
    def render(scope: Scope) -> RenderedRequest:
        raise RenderError(message)

    plan = RequestPlan(tool, render, None)
    plan.reads = reads
    return plan


def _refuse_lost_path_arguments(args: list[Argument], url: UrlTemplate) -> None:
    for arg in args:
        if arg.position == "path" and not any(read[:2] == ("args", arg.name) for read in url.reads):
            raise TemplateError(
                f"the URL has no place for the path argument `{arg.name}`", f"write {{{arg.name}}} into its path"
            )


def _origin(url: UrlTemplate, request: Request, compiled: Callable[..., Template]) -> tuple[Origin, str]:
    """Where the connection goes, and the path prefix that every call keeps."""
    base = urlsplit(url.base({}))
    scheme = base.scheme.lower()
    try:
        host = (
            unquote(base.hostname or "").encode("idna").decode() if ":" not in (base.hostname or "") else base.hostname
        )
        proxy = compiled(compile_header, request.proxy).render({}) if request.proxy else None
        return Origin(scheme, host or "", base.port or (443 if scheme == "https" else 80), proxy), base.path
    except (ValueError, UnicodeError) as error:
        raise RenderError(f"the URL's origin or its proxy cannot be used: {_sentence(error)}") from None


def _sentence(error: Exception) -> str:
    return "the host is not a name" if isinstance(error, UnicodeError) else str(error)


def _host(origin: Origin) -> str:
    default = 443 if origin.scheme == "https" else 80
    host = authority(origin.host, origin.port)
    return host.rpartition(":")[0] if origin.port == default else host


def _plain_renderer(
    start: str, path: str, rest: str, origin: Origin, query: Query
) -> Callable[[Scope], RenderedRequest]:
    """For requests of which nothing changes but arguments in the query."""
    given = query.given
    alone = path or "/"

    def render(scope: Scope) -> RenderedRequest:
        text = given(scope["args"])
        target = f"{alone}?{text}" if text else alone
        head = f"{start}{target}{rest}"
        if len(head) > MAX_HEAD:
            raise RenderError(_TOO_LONG)
        return RenderedRequest(origin, head.encode("ascii"), target)

    return render


def _renderer(
    method: str,
    prefixes: tuple[str, str],
    origin: Origin,
    urls: tuple[UrlTemplate, UrlTemplate | None],
    query: Query,
    headers: Headers,
    body: Callable[[Scope], tuple[bytes | None, bytes]] | None,
) -> Callable[[Scope], RenderedRequest]:
    """The function that every call runs."""
    (prefix, shown_prefix), (url, masked) = prefixes, urls
    path, scoped = url.path, url.scope
    start, late, no_query = f"{method} ", headers.late, query.is_empty
    fixed = f" HTTP/1.1\r\nHost: {_host(origin)}\r\n{headers.fixed}"
    typed = "content-type" in headers.names
    has_body = body is not None
    empty = "" if has_body or method in ("GET", "HEAD", "OPTIONS", "DELETE") else "Content-Length: 0\r\n"
    hidden = masked is not None or query.secret or shown_prefix != prefix

    if url.fixed_path is not None and query.only_given and not (late or hidden or has_body):
        return _plain_renderer(start, prefix + url.fixed_path, f"{fixed}{empty}\r\n", origin, query)

    def render(scope: Scope) -> RenderedRequest:
        url_scope = scoped(scope)
        target = prefix + path(url_scope)
        if not no_query:
            target = (target or "/") + query.render(url, scope, url_scope)
        head = f"{start}{target or '/'}{fixed}{''.join([line(scope) for line in late]) if late else ''}{empty}"
        if len(head) > MAX_HEAD:
            raise RenderError(_TOO_LONG)
        shown = log_target(scope) if hidden else target or "/"
        if body is None:
            return RenderedRequest(origin, f"{head}\r\n".encode("ascii"), shown)
        content_type, content = body(scope)
        kind = "" if typed or content_type is None else f"Content-Type: {content_type.decode()}\r\n"
        return RenderedRequest(
            origin, f"{head}{kind}Content-Length: {len(content)}\r\n\r\n".encode("ascii") + content, shown
        )

    def log_target(scope: Scope) -> str:
        shown = masked or url
        shown_scope = shown.scope(scope)
        return (shown_prefix + shown.path(shown_scope) or "/") + query.render(shown, scope, shown_scope, masked=True)

    return render
