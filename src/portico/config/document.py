"""The Document: one configuration of one tenant, as people write it.

These models are the schema and nothing else. They say which fields exist and of which shape; what the fields mean
together (references, templates, duplicates) is for check.py to judge, and what they become is for the compiler.
Field descriptions reach the generated JSON Schema and so the editors' completion.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from portico.config.auth import Auth
from portico.config.fields import NAME, Chosen, Duration, Model, Names, Rate, Seconds

TOOL_NAME = r"^[A-Za-z0-9_.-]{1,128}$"
ALIAS = r"^[A-Za-z0-9_-]{1,64}$"
PREFIX = r"^(/|(/[A-Za-z0-9._~-]+)+)$"
RESERVED_PREFIXES = ("/livez", "/readyz", "/metrics", "/api", "/.well-known")
SUFFIXES = ("mcp", "sse", "message")


class Icon(Model):
    src: str = Field(description="An https: or data: URI of the picture.")
    mime_type: str | None = None
    sizes: list[str] | None = None
    theme: Literal["light", "dark"] | None = None


class Described(Model):
    """What every listed thing of MCP may carry beside its name."""

    title: str | None = Field(default=None, description="A name for people.")
    description: str | None = None
    icons: list[Icon] | None = None
    meta: dict[str, Any] | None = Field(default=None, alias="_meta", description="Passed on to clients as it is.")


class Cors(Model):
    allow_origins: list[str] = Field(description="Origins of web pages that may call, or ['*'].")
    allow_methods: list[str] = ["GET", "POST", "DELETE", "OPTIONS"]
    allow_headers: list[str] = Field(
        default=["*"], description="Request headers that a page may send; ['*'] allows whatever it asks for."
    )
    expose_headers: list[str] = ["Mcp-Session-Id", "MCP-Protocol-Version"]
    allow_credentials: bool = False
    max_age: Duration = 600.0


class Protocol(Model):
    oldest: Literal["2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25", "2026-07-28"] = Field(
        default="2024-11-05", description="Clients that speak an older revision only are refused."
    )


class Limits(Model):
    timeout: Duration = Field(default=60.0, description="How long one call may take in all.")
    rate: Rate | None = Field(default=None, description="Calls that are answered, such as 100/s; more get 429.")
    burst: int | None = Field(
        default=None, ge=1, le=1_000_000, description="Calls that may come at once; those of one second where absent."
    )
    concurrency: int | None = Field(
        default=None, ge=1, le=1_000_000, description="Calls that may be under way; more get 429."
    )


class Router(Model):
    prefix: str = Field(
        pattern=PREFIX, max_length=200, description="Serves {prefix}/mcp, {prefix}/sse and {prefix}/message."
    )
    server: str = Field(description="The server, below, that this endpoint offers, or an mcpServer to be relayed.")
    auth: Auth = Auth(mode="none")
    cors: Cors | None = None
    protocol: Protocol = Protocol(oldest="2024-11-05")
    limits: Limits = Limits(timeout=60.0)


class Cache(Model):
    ttl: Annotated[float, Seconds, Field(ge=0, allow_inf_nan=False)] = Field(
        default=0.0, description="How long clients may keep lists and static resources (ttlMs).", examples=["60s"]
    )
    scope: Literal["private", "public"] = "private"


class Annotations(Model):
    title: str | None = None
    read_only_hint: bool | None = None
    destructive_hint: bool | None = None
    idempotent_hint: bool | None = None
    open_world_hint: bool | None = None


class Override(Model):
    """What clients are told of a tool or prompt of an included server, instead of what the server says."""

    name: str | None = Field(default=None, pattern=ALIAS, description="The name that clients see, prefix and all.")
    title: str | None = None
    description: str | None = None
    args: dict[str, str] = Field(default={}, description="Descriptions by name of the argument.")
    annotations: Annotations | None = Field(default=None, description="Hints to replace; the others stay.")


class Include(Model):
    """A part of an upstream MCP server that a server offers as its own."""

    mcp_server: str = Field(description="The name of one of the mcpServers.")
    tools: Chosen = Field(
        default=["*"], description="Patterns of the server's own names: search_* allows, !search_code denies and wins."
    )
    prompts: Chosen = Field(default=["*"], description="Patterns of names, as for tools.")
    resources: Chosen = Field(default=["*"], description="Patterns of URIs and URI templates, as for tools.")
    prefix: str = Field(
        default="", pattern=r"^[A-Za-z0-9_-]{0,32}$", description="Stands before every name, and within every URI."
    )
    override: dict[str, Override] = Field(default={}, description="By name as clients would see it, prefix included.")


class Server(Described):
    name: str = Field(pattern=NAME)
    version: str | None = Field(default=None, description="Shown to clients; the gateway's own version where absent.")
    website_url: str | None = None
    instructions: str | None = Field(default=None, description="How a model should use this server.")
    tools: Names | None = Field(
        default=None, description="Names of the tools on offer; all of the document where absent."
    )
    prompts: Names | None = Field(default=None, description="Names of the prompts on offer; all where absent.")
    resources: Names | None = Field(default=None, description="URIs and URI templates on offer; all where absent.")
    include: list[Include] = Field(
        default=[], max_length=64, description="Upstream MCP servers, or parts of them, that are offered here too."
    )
    cache: Cache = Cache()
    page_size: int = Field(default=1000, ge=1, le=10_000, description="Entries of one page of a list.")


Position = Literal["path", "query", "header", "cookie", "body", "form", "multipart"]


class Argument(BaseModel):
    """One argument of a tool. Every key that is not listed here is a JSON Schema keyword and reaches the client."""

    model_config = ConfigDict(extra="allow", frozen=True, strict=True, populate_by_name=True)

    name: str = Field(min_length=1, max_length=256)
    position: Position | None = Field(
        default=None, alias="in", description="Where the value goes in the request; without it only templates use it."
    )
    required: bool = False
    send_as: str | None = Field(
        default=None, alias="as", description="The upstream's name of the parameter, where it differs from `name`."
    )
    explode: bool = Field(
        default=True, description="Arrays in query and form are repeated (a=1&a=2) or joined by commas."
    )

    def schema_keywords(self) -> dict[str, Any]:
        """The JSON Schema of the value, as it was written."""
        return dict(self.model_extra or {})


class Part(Model):
    """A file or a field of a multipart body."""

    content: Any = Field(description="A template. Text is sent as it is unless `base64` is set.")
    filename: str | None = None
    content_type: str | None = None
    base64: bool = Field(default=False, description="The content is base64 and is decoded before it is sent.")


def _as_part(value: object) -> object:
    return {"content": value} if isinstance(value, str) else value


class Request(Model):
    method: Literal["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"] = "GET"
    url: str = Field(min_length=1, description="A template; a leading expression over values or secrets is the origin.")
    headers: dict[str, str] = Field(default={}, description="Templates by header name.")
    query: dict[str, Any] = Field(
        default={}, description="Templates by parameter name; null is left out, a list repeats."
    )
    cookies: dict[str, str] = Field(default={}, description="Templates by cookie name.")
    body: Any = Field(
        default=None, description="A value with templates becomes JSON; a longer string is a text template."
    )
    form: dict[str, Any] | None = Field(default=None, description="Templates by field name, sent url-encoded.")
    multipart: dict[str, Annotated[Part, BeforeValidator(_as_part, json_schema_input_type=Part | str)]] | None = Field(
        default=None, description="Parts by field name, sent as multipart/form-data."
    )
    timeout: Duration = Field(default=30.0, description="How long the upstream may take to answer.")
    proxy: str | None = Field(
        default=None, description="http://, https:// or socks5:// address of a proxy; may be a template."
    )


class Response(Model):
    select: str | None = Field(default=None, description="A JMESPath expression over the JSON answer.")
    body: Any = Field(default=None, description="A value with templates over `response`, or a text template.")
    content: list[dict[str, Any]] | None = Field(default=None, description="MCP content blocks with templates.")
    output_schema: dict[str, Any] | None = Field(default=None, description="JSON Schema of the structured content.")


class Tool(Described):
    name: str = Field(pattern=TOOL_NAME)
    annotations: Annotations | None = None
    args: list[Argument] | None = None
    input_schema: dict[str, Any] | None = Field(default=None, description="A whole JSON Schema, instead of `args`.")
    requires: dict[str, dict[str, Any]] = Field(
        default={},
        description="Capabilities that a client must declare to call this tool, as clients declare them (revision "
        "2026-07-28).",
        examples=[{"sampling": {}}],
    )
    request: Request
    response: Response = Response()


class PromptArgument(Model):
    name: str = Field(min_length=1)
    title: str | None = None
    description: str | None = None
    required: bool = False
    enum: list[str] | None = Field(default=None, description="Values to suggest when a client asks for completion.")


class PromptMessage(Model):
    role: Literal["user", "assistant"]
    content: dict[str, Any] = Field(description="One MCP content block with templates over `args`.")


class Prompt(Described):
    name: str = Field(pattern=TOOL_NAME)
    arguments: list[PromptArgument] = []
    messages: list[PromptMessage] = Field(min_length=1)


class Resource(Described):
    uri: str | None = None
    uri_template: str | None = Field(default=None, description="Simple expansions of RFC 6570: {name} and {+name}.")
    name: str = Field(min_length=1)
    mime_type: str | None = None
    annotations: dict[str, Any] | None = None
    text: str | None = None
    blob: str | None = Field(default=None, description="Base64.")
    tool: str | None = Field(
        default=None, description="The tool whose answer is the content; variables are its arguments."
    )


class Forward(Model):
    headers: list[str] = Field(default=[], description="Headers of the client's request that are passed on.")


class McpServer(Model):
    """An upstream MCP server, in the form that mcp.json files use."""

    type: Literal["stdio", "sse", "http", "streamable-http", "streamableHttp"] | None = Field(
        default=None, description="Without it, `command` means stdio and `url` streamable HTTP."
    )
    url: str | None = Field(default=None, description="A template over values and secrets.")
    headers: dict[str, str] = Field(default={}, description="Templates over values and secrets, by header name.")
    command: str | None = Field(default=None, description="The program to start; no shell reads it.")
    args: list[str] = []
    env: dict[str, str] = Field(default={}, description="Templates; beside PATH, HOME, LANG and TMPDIR nothing else.")
    cwd: str | None = None
    protocol: Literal["auto", "legacy", "modern"] = Field(
        default="auto", description="Which era the server speaks, where asking it would not tell."
    )
    session: Literal["shared", "perClient"] = Field(
        default="shared", description="One upstream session for clients that can do the same, or one for each."
    )
    forward: Forward = Forward()
    proxy: str | None = Field(default=None, description="http://, https:// or socks5:// address of a proxy.")
    timeout: Duration = Field(default=60.0, description="How long one request may take.")
    start: Literal["onDemand", "atStart"] = "onDemand"
    start_timeout: Duration = Field(default=120.0, description="How long a first start, with its download, may take.")
    idle_timeout: Duration = Field(default=600.0, description="After how long without a request a process is ended.")

    @property
    def kind(self) -> Literal["stdio", "sse", "http"]:
        if self.type in ("stdio", "sse"):
            return self.type
        return "stdio" if self.type is None and self.command is not None else "http"


class Document(Model):
    version: Literal[1] = Field(default=1, description="The version of this format.")
    name: str = Field(pattern=NAME, description="Unique in its tenant.")
    tenant: str = Field(default="default", pattern=NAME)
    description: str | None = None
    values: dict[str, Any] = Field(default={}, description="Named values for templates.")
    routers: list[Router] = []
    servers: list[Server] = []
    tools: list[Tool] = []
    prompts: list[Prompt] = []
    resources: list[Resource] = []
    mcp_servers: dict[str, McpServer] = Field(default={}, description="Upstream MCP servers by name.")
