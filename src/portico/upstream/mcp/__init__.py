"""MCP servers that are relayed: over streamable HTTP, over SSE, and as processes of ours, in both eras."""
