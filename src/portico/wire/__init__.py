"""MCP and JSON-RPC as data: envelopes, revisions, headers, errors and event-stream framing. Pure: no I/O."""
