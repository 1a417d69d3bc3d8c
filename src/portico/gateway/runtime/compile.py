"""Documents → endpoints. Pure: it starts nothing, opens nothing and touches no event loop.

It takes documents that check() found without error, so what fails here is a defect and may raise.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import msgspec

import portico
from portico.auth.principal import Guard
from portico.config.document import Cors, Document, Model, Override, Prompt, Resource, Router, Server, Tool
from portico.config.input_schema import input_schema
from portico.config.patterns import compile_patterns
from portico.gateway.routing.catalog import (
    Catalog,
    Listing,
    PromptEntry,
    ResourceEntry,
    TemplateEntry,
    ToolEntry,
    listing,
)
from portico.gateway.routing.endpoint import CorsRules, Endpoint, RouterLimits
from portico.gateway.routing.include import Aggregate, Alias, Include
from portico.gateway.runtime.arguments import compile_arguments
from portico.gateway.runtime.guards import compile_guard
from portico.gateway.runtime.mcp_specs import mcp_spec
from portico.gateway.runtime.uri_templates import compile_uri_template
from portico.template import RenderError, compile_value
from portico.upstream.http_api import HttpTool
from portico.upstream.mcp.upstream import McpSpec
from portico.wire.results import identity, modern_tail
from portico.wire.versions import supported

_EMPTY = Document(name="empty")


@dataclass(frozen=True, slots=True)
class Compiled:
    """One document's endpoints, by prefix."""

    name: str
    tenant: str
    endpoints: Mapping[str, Endpoint]


def compiler(
    client: Any, processes: bool = True, key_sets: Any = None
) -> Callable[[Document, Mapping[str, str]], Compiled]:
    """Binds what tools send their requests with, and what finds the public keys of issuers; nothing is sent while
    compiling. Without `processes` a document may name none: RenderError."""

    def compiled(document: Document, secrets: Mapping[str, str]) -> Compiled:
        for name, server in document.mcp_servers.items():
            if server.kind == "stdio" and not processes:
                raise RenderError(f"the server {name} is a process, and this gateway starts none (--stdio off)")
        return compile_document(document, secrets, client, key_sets)

    return compiled


def compile_document(document: Document, secrets: Mapping[str, str], client: Any, key_sets: Any = None) -> Compiled:
    parts = _Parts(document, secrets, client)
    endpoints = {}
    for router in document.routers:
        if router.server in document.mcp_servers:
            endpoint = _relaying(document, router, mcp_spec(document, router.server, secrets))
        else:
            server = next(server for server in document.servers if server.name == router.server)
            endpoint = _endpoint(document, router, server, parts)
        guard = compile_guard(document, router.auth, key_sets)
        endpoints[router.prefix] = endpoint if guard is None else _guarded(endpoint, guard)
    return Compiled(document.name, document.tenant, endpoints)


def _relaying(document: Document, router: Router, spec: McpSpec) -> Endpoint:
    """An endpoint whose answers are its upstream's. The catalog is empty: what is on offer, only the upstream knows."""
    server = Server(name=router.server, tools=[], prompts=[], resources=[])
    return replace(_endpoint(document, router, server, _Parts(_EMPTY, {}, None)), upstream=spec)


def _guarded(endpoint: Endpoint, guard: Guard) -> Endpoint:
    """What is told one caller is no other's, so no cache may share it; and a web page must be able to read how to get
    in."""
    cors = endpoint.cors
    if cors is not None and b"www-authenticate" not in cors.expose.lower():
        cors = replace(cors, expose=b", ".join((*filter(None, (cors.expose,)), b"WWW-Authenticate")))
    return replace(endpoint, guard=guard, cors=cors, cache_scope="private")


class _Parts:
    """A document's tools, prompts and resources, compiled once for all of its servers."""

    def __init__(self, document: Document, secrets: Mapping[str, str], client: Any) -> None:
        values = document.values
        self._document = document
        self._secrets = secrets
        self.tools = {tool.name: tool for tool in document.tools}
        self.entries = {tool.name: _tool_entry(tool, values, secrets, client) for tool in document.tools}
        self.listed_tools = {tool.name: _listed_tool(tool, modern=True) for tool in document.tools}
        self.legacy_tools = {tool.name: _listed_tool(tool, modern=False) for tool in document.tools}
        self.prompts = {prompt.name: _prompt_entry(prompt, values) for prompt in document.prompts}
        self.resources = {
            resource.uri: _resource_entry(resource.uri, resource, self.entries)
            for resource in document.resources
            if resource.uri is not None
        }
        self.templates = {
            resource.uri_template: _template_entry(resource.uri_template, resource, self)
            for resource in document.resources
            if resource.uri_template is not None
        }

    def specs(self, server: Server) -> dict[str, McpSpec]:
        """The upstream MCP servers that a server includes, by name."""
        names = dict.fromkeys(include.mcp_server for include in server.include)
        return {name: mcp_spec(self._document, name, self._secrets) for name in names}


def _endpoint(document: Document, router: Router, server: Server, parts: _Parts) -> Endpoint:
    catalog = _catalog(document, server, parts)
    info = _server_info(document, server)
    return Endpoint(
        prefix=router.prefix,
        tenant=document.tenant,
        document=document.name,
        title=server.title or server.name,
        server_info=info,
        capabilities=_capabilities(catalog),
        instructions=server.instructions,
        catalog=catalog,
        oldest=router.protocol.oldest,
        offered=tuple(supported(router.protocol.oldest)),
        timeout=router.limits.timeout,
        limits=RouterLimits(router.limits.rate, router.limits.burst, router.limits.concurrency),
        ttl_ms=int(server.cache.ttl * 1000),
        cache_scope=server.cache.scope,
        cors=_cors(router.cors) if router.cors is not None else None,
        greeting_tail=modern_tail(info),
        modern_tail=modern_tail(identity(info)),
        aggregate=_aggregate(server, parts.specs(server)) if server.include else None,
    )


def _aggregate(server: Server, specs: Mapping[str, McpSpec]) -> Aggregate:
    includes = tuple(
        Include(
            spec=specs[include.mcp_server],
            tools=compile_patterns(include.tools),
            prompts=compile_patterns(include.prompts),
            resources=compile_patterns(include.resources),
            prefix=include.prefix,
            aliases={name: _alias(override) for name, override in include.override.items()},
        )
        for include in server.include
    )
    return Aggregate(includes, server.page_size)


def _alias(override: Override) -> Alias:
    hints = _plain(override.annotations) or {}
    return Alias(
        name=override.name,
        title=override.title,
        description=override.description,
        args=override.args,
        annotations={name: msgspec.json.encode(value) for name, value in hints.items()},
    )


def _server_info(document: Document, server: Server) -> dict[str, Any]:
    info: dict[str, Any] = {"name": server.name, "version": server.version or portico.__version__}
    optional = {
        "title": server.title,
        "description": server.description or document.description,
        "websiteUrl": server.website_url,
        "icons": _plain(server.icons),
    }
    return info | {key: value for key, value in optional.items() if value is not None}


def _capabilities(catalog: Catalog) -> dict[str, Any]:
    """What the endpoint can do. Lists that are empty today may fill at a reload, so tools are always declared."""
    capabilities: dict[str, Any] = {"tools": {"listChanged": True}, "logging": {}}
    if catalog.prompts:
        capabilities["prompts"] = {"listChanged": True}
    if catalog.resources or catalog.templates:
        capabilities["resources"] = {"listChanged": True, "subscribe": True}
    if catalog.prompts or catalog.templates:
        capabilities["completions"] = {}
    return capabilities


def _catalog(document: Document, server: Server, parts: _Parts) -> Catalog:
    tools = [tool.name for tool in document.tools if server.tools is None or tool.name in server.tools]
    prompts = [prompt for prompt in document.prompts if server.prompts is None or prompt.name in server.prompts]
    offered = [
        resource
        for resource in document.resources
        if server.resources is None or (resource.uri or resource.uri_template) in server.resources
    ]
    fixed = [resource for resource in offered if resource.uri is not None]
    templates = [resource for resource in offered if resource.uri_template is not None]
    size = server.page_size
    lists: dict[str, Listing] = {
        "tools/list": listing(
            "tools", [parts.legacy_tools[name] for name in tools], [parts.listed_tools[name] for name in tools], size
        ),
        "prompts/list": _same("prompts", [_listed_prompt(prompt) for prompt in prompts], size),
        "resources/list": _same("resources", [_listed_resource(resource) for resource in fixed], size),
        "resources/templates/list": _same(
            "resourceTemplates", [_listed_resource(resource) for resource in templates], size
        ),
    }
    return Catalog(
        tools={name: parts.entries[name] for name in tools},
        prompts={prompt.name: parts.prompts[prompt.name] for prompt in prompts},
        resources={resource.uri: parts.resources[resource.uri] for resource in fixed if resource.uri is not None},
        templates=tuple(parts.templates[resource.uri_template] for resource in templates if resource.uri_template),
        lists=lists,
    )


def _same(key: str, entries: Sequence[Any], size: int) -> Listing:
    return listing(key, entries, entries, size)


def _tool_entry(tool: Tool, values: Mapping[str, Any], secrets: Mapping[str, str], client: Any) -> ToolEntry:
    arguments = compile_arguments(input_schema(tool))
    target = HttpTool(tool, values, secrets, client)
    return ToolEntry(
        name=tool.name,
        target=target,
        plain=None if arguments.mirrors or tool.requires or target.request_reads else target,
        is_valid=arguments.is_valid,
        explain=arguments.explain,
        coerce=arguments.coerce,
        fill=arguments.fill,
        mirrors=arguments.mirrors,
        requires=tool.requires,
    )


def _described(thing: Tool | Prompt | Resource) -> dict[str, Any]:
    described = {"title": thing.title, "description": thing.description, "icons": _plain(thing.icons)}
    found = {key: value for key, value in described.items() if value is not None}
    return found | ({"_meta": thing.meta} if thing.meta is not None else {})


def _listed_tool(tool: Tool, *, modern: bool) -> dict[str, Any]:
    listed: dict[str, Any] = {"name": tool.name, "inputSchema": input_schema(tool)}
    output = tool.response.output_schema
    # Handshake revisions know objects only as structured content.
    if output is not None and (modern or output.get("type") == "object"):
        listed["outputSchema"] = output
    if tool.annotations is not None:
        listed["annotations"] = _plain(tool.annotations)
    return listed | _described(tool)


def _listed_prompt(prompt: Prompt) -> dict[str, Any]:
    arguments = []
    for argument in prompt.arguments:
        entry: dict[str, Any] = {"name": argument.name, "required": argument.required}
        if argument.title is not None:
            entry["title"] = argument.title
        if argument.description is not None:
            entry["description"] = argument.description
        arguments.append(entry)
    return {"name": prompt.name, "arguments": arguments} | _described(prompt)


def _listed_resource(resource: Resource) -> dict[str, Any]:
    listed: dict[str, Any] = {"name": resource.name}
    if resource.uri is not None:
        listed["uri"] = resource.uri
    else:
        listed["uriTemplate"] = resource.uri_template
    if resource.mime_type is not None:
        listed["mimeType"] = resource.mime_type
    if resource.annotations is not None:
        listed["annotations"] = resource.annotations
    if resource.text is not None:
        listed["size"] = len(resource.text.encode())
    return listed | _described(resource)


def _prompt_entry(prompt: Prompt, values: Mapping[str, Any]) -> PromptEntry:
    messages = [{"role": message.role, "content": message.content} for message in prompt.messages]
    return PromptEntry(
        name=prompt.name,
        description=prompt.description,
        required=frozenset(argument.name for argument in prompt.arguments if argument.required),
        arguments=frozenset(argument.name for argument in prompt.arguments),
        messages=compile_value(messages, frozenset({"args", "values"}), {"values": values}).render,
        suggestions={argument.name: tuple(argument.enum) for argument in prompt.arguments if argument.enum},
    )


def _resource_entry(uri: str, resource: Resource, tools: Mapping[str, ToolEntry]) -> ResourceEntry:
    if resource.tool is not None:
        return ResourceEntry(uri, resource.mime_type, None, tools[resource.tool])
    content: dict[str, Any] = {"uri": uri}
    if resource.mime_type is not None:
        content["mimeType"] = resource.mime_type
    if resource.blob is not None:
        content["blob"] = resource.blob
    else:
        content["text"] = resource.text or ""
    return ResourceEntry(uri, resource.mime_type, msgspec.json.encode([content]))


def _template_entry(uri_template: str, resource: Resource, parts: _Parts) -> TemplateEntry:
    assert resource.tool is not None
    pattern, variables = compile_uri_template(uri_template)
    properties = input_schema(parts.tools[resource.tool]).get("properties", {})
    suggestions = {
        name: tuple(str(value) for value in properties[name]["enum"])
        for name in variables
        if isinstance(properties.get(name), dict) and "enum" in properties[name]
    }
    return TemplateEntry(
        uri_template, pattern, variables, resource.mime_type, parts.entries[resource.tool], suggestions
    )


def _cors(cors: Cors) -> CorsRules:
    return CorsRules(
        origins=frozenset(cors.allow_origins),
        methods=", ".join(cors.allow_methods).encode(),
        headers=b"*" if "*" in cors.allow_headers else ", ".join(cors.allow_headers).encode(),
        expose=", ".join(cors.expose_headers).encode(),
        credentials=cors.allow_credentials,
        max_age=b"%d" % int(cors.max_age),
    )


def _plain(value: Model | Sequence[Model] | None) -> Any:
    """A model, or a list of them, as it goes over the wire."""
    if value is None:
        return None
    if isinstance(value, Model):
        return value.model_dump(by_alias=True, exclude_none=True)
    return [one.model_dump(by_alias=True, exclude_none=True) for one in value]
