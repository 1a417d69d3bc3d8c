"""What an endpoint must do, statement by statement: the table of how the era of a POST is chosen, what holds in each
era, and the decisions where the specification's texts leave room. Each has a row in one of the rows_*.py files.
"""

# Situation → what a handshake-era client sees, and what a stateless one does; None where the era knows no such thing.
TABLE: dict[str, tuple[str | None, str | None]] = {
    "body too large": ("413", "413"),
    "Host or Origin not allowed": ("403", "403"),
    "Content-Type not JSON": ("415", "415"),
    "Accept lacks JSON and event-stream": ("406", "406"),
    "parse error": ("400 −32700 with id null", "400 −32700 with id null"),
    "bad envelope": ("400 −32600 with id null", "400 −32600 with id null"),
    "JSON array": ("2025-03-26: processed; else 400 −32600", "400 −32600"),
    "notification": ("202 without a body", "202 without a body"),
    "_meta misses protocolVersion or clientCapabilities": (None, "400 −32602"),
    "MCP-Protocol-Version differs from the body": (None, "400 −32020"),
    "Mcp-Method differs from the body": (None, "400 −32020"),
    "Mcp-Name differs from the body": (None, "400 −32020"),
    "Mcp-Param-* differs from the body": (None, "400 −32020"),
    "unsupported version": (
        "400; initialize answers our latest legacy revision",
        "400 −32022 with supported and requested",
    ),
    "unknown method": ("200 −32601", "404 −32601"),
    "missing client capability": (None, "400 −32021 with requiredCapabilities"),
    "unknown or foreign session": ("404", "the header is ignored"),
    "GET": ("the event stream", "405 Allow: POST"),
    "DELETE": ("ends the session", "405 Allow: POST"),
    "client closes the response stream": ("no cancel: the answer can be fetched", "the cancel"),
    "resource not found": ("−32002", "−32602"),
}

STATEMENTS: dict[str, str] = {
    "modern: no handshake": "initialize is an unknown method",
    "modern: no session": "no answer names a session",
    "modern: legacy methods": "ping, logging/setLevel, resources/subscribe and unsubscribe are unknown methods",
    "modern: resultType": "every result says resultType",
    "modern: cache hints": "list, read and discover results carry ttlMs and cacheScope as the document says",
    "modern: cache default": "cacheScope is private and ttlMs 0 unless the document says otherwise",
    "modern: serverInfo": "every result's _meta carries the server's name, version and icons",
    "modern: discover": "server/discover tells versions, capabilities and instructions",
    "modern: listen acknowledges": "the acknowledgement comes first and is tagged with the subscription's id",
    "modern: listen tells": "a reload is told, tagged with the subscription's id, to those who asked and nobody else",
    "modern: listen ends": "a graceful end of a subscription is the result of its request",
    "modern: listen ends with its endpoint": "a subscription of an endpoint that is served no more ends with a result",
    "modern: no resumption": "events have no ids, and Last-Event-ID changes nothing",
    "modern: progress": "a slow call with a progress token is answered by a stream that tells of it",
    "modern: cancellation": "closing the connection of a plain answer drops the upstream within a second",
    "modern: order": "the order of a list is that of the document, every time",
    "modern: pagination": "a list comes in pages whose cursors lead to each entry once; a strange cursor is −32602",
    "modern: completion": "arguments of prompts and variables of templates are completed",
    "modern: log level": "an unknown log level is −32602, a known one is taken",
    "modern: trace context": "W3C trace context in _meta is taken",
    "modern: sentinel": "a base64 sentinel value is decoded before it is compared",
    "modern: absent param": "an absent or null argument expects no Mcp-Param header, and one that is sent is refused",
    "modern: numeric param": "integers are compared as numbers",
    "legacy: session id": "a session id has at least 128 random bits and visible characters only",
    "legacy: session bound": "a session of another endpoint is not found, on any verb",
    "legacy: stream": "the GET stream has event ids and says when to retry",
    "legacy: resumption": "Last-Event-ID brings what was missed of that stream, once and in order",
    "legacy: delete": "DELETE ends the session and its streams",
    "legacy: sse": "/sse announces where to POST, /message answers 202 and the answer comes on the stream",
    "legacy: sse ends": "the session of an SSE conversation ends with its stream",
    "legacy: sse batch": "an SSE conversation of 2025-03-26 takes batches, others refuse them",
    "legacy: level": "logging/setLevel takes the known levels and refuses others",
    "legacy: ping": "ping is answered by an empty result",
    "legacy: subscribe": "a subscribed resource that a reload changes is told of, one that was unsubscribed is not",
    "legacy: progress": "a slow call with a progress token is answered by a stream that tells of it",
    "legacy: cancellation": "notifications/cancelled drops the upstream within a second",
    "legacy: sse cancellation": "notifications/cancelled over /message drops the upstream within a second",
    "legacy: delete cancels": "the end of a session drops the calls under way in it",
    "legacy: list changed": "a reload that changes a list is told on the GET stream and on the SSE stream",
    "legacy: completion": "arguments of prompts and variables of templates are completed",
    "legacy: pagination": "a list comes in pages whose cursors lead to each entry once; a strange cursor is −32602",
    "legacy: batch answers": "a batch is answered by one array that leaves notifications out; its size is bounded",
    "legacy: icons": "icons of server and tools reach clients of 2025-11-25",
    "legacy: every revision": "each handshake revision is agreed on when it is asked for",
    "legacy: double id": "an id that is under way in the session cannot be used again meanwhile",
    "both: call id": "every result and every error tells the call's id, and the log has it",
}

DECISIONS: dict[str, str] = {
    "accept": "406 only when Accept names neither kind nor a wildcard; absent is fine",
    "only events": "a client that accepts nothing but events gets its answer as one",
    "trimmed": "header values are trimmed of white space before they are compared",
    "without session": "initialize and ping are answered without a session, anything else is 400 with what to do",
    "structured": "structured content is any JSON for modern clients and objects only for legacy ones",
    "output schema": "an outputSchema that is no object is listed for modern clients only",
    "bytes": "the text keeps the upstream's bytes: a 20-digit number survives, in the structured content too",
    "missing name": "a missing Mcp-Name gets the specified answer, with a message that says how to mend it",
    "early discover": "server/discover over /sse and in a session is −32601 with a message that helps",
    "hand-over": "a session that another worker holds is served through any worker, on every verb and transport",
    "dead owner": "a session whose worker is gone is 404, so that the client starts anew",
}

# Statements that no REST-backed endpoint can show; they are tested where upstream MCP servers come in.
LATER: dict[str, str] = {
    "input_required and requestState": "a REST service never asks the user",
    "time of a person does not count": "nobody is asked",
    "generated tool names": "this version neither generates nor aliases names",
    "elicitation, sampling, roots": "a REST service never asks the client",
}

ERAS = ("legacy", "modern")

CELLS: dict[str, str] = {
    **{
        f"{situation} | {era}": statement
        for situation, row in TABLE.items()
        for era, statement in zip(ERAS, row, strict=True)
        if statement is not None
    },
    **STATEMENTS,
    **{f"decision: {name}": statement for name, statement in DECISIONS.items()},
}
