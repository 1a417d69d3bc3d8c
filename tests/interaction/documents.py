"""The documents that these tests serve. REST stands for the address of the scripted service."""

USERS = """
version: 1
name: users
values: {base: "REST"}
routers:
  - {prefix: /users, server: users}
  - {prefix: /paged, server: paged}
  - {prefix: /young, server: plain, protocol: {oldest: "2025-06-18"}}
  - {prefix: /modern, server: plain, protocol: {oldest: "2026-07-28"}}
  - {prefix: /brief, server: users, limits: {timeout: 300ms}}
  - prefix: /open
    server: plain
    cors:
      allowOrigins: ["https://console.example.com"]
      allowCredentials: true
      exposeHeaders: [Mcp-Session-Id, X-More]
  - {prefix: /everybody, server: plain, cors: {allowOrigins: ["*"]}}
servers:
  - name: users
    title: Users
    version: "9.1"
    instructions: Look a user up first.
    icons: [{src: "https://example.com/icon.png", mimeType: image/png}]
    cache: {ttl: 90s, scope: public}
  - {name: paged, title: Paged, pageSize: 4, prompts: [], resources: []}
  - {name: plain, tools: [echo], prompts: [], resources: []}
tools:
  - name: echo
    title: Echo
    description: Says what reached the service.
    icons: [{src: "https://example.com/tool.png"}]
    annotations: {readOnlyHint: true}
    _meta: {"example.com/kept": [1, {"as": "it is"}]}
    args:
      - {name: word, in: query, type: string, default: hello, maxLength: 300}
    request: {url: "{{ values.base }}/echo"}
  - name: number
    request: {url: "{{ values.base }}/number"}
  - name: list
    request: {url: "{{ values.base }}/list"}
    response: {outputSchema: {type: array}}
  - name: shaped
    request: {url: "{{ values.base }}/shaped"}
    response:
      body: {total: "{{ response.json.total }}"}
      outputSchema: {type: object, properties: {total: {type: integer}}}
  - name: hold
    args: [{name: note, in: query, type: string}]
    request: {url: "{{ values.base }}/hold"}
  - name: mirrored
    args:
      - {name: region, in: query, type: string, x-mcp-header: Region}
      - {name: count, in: query, type: integer, x-mcp-header: Count}
      - {name: loud, in: query, type: boolean, x-mcp-header: Loud}
    request: {url: "{{ values.base }}/mirrored"}
  - name: user
    args: [{name: id, in: path, type: integer, required: true, enum: [1, 12, 3]}]
    request: {url: "{{ values.base }}/user/{{ args.id }}"}
  - name: traced
    request: {url: "{{ values.base }}/traced", headers: {X-Trace: "{{ request.headers.x-trace }}"}}
  - name: asks
    requires: {elicitation: {form: {}}}
    request: {url: "{{ values.base }}/echo"}
prompts:
  - name: welcome
    description: A greeting.
    arguments:
      - {name: name, required: true, enum: [Ada, Alan, Grace]}
      - {name: tone}
    messages: [{role: user, content: {type: text, text: "Greet {{ args.name }}.{{ args.tone }}"}}]
resources:
  - {uri: "users://guide", name: guide, mimeType: text/markdown, text: "# Guide"}
  - {uri: "users://live", name: live, tool: number}
  - {uriTemplate: "users://user/{id}", name: user, tool: user}
"""
