"""Several upstream MCP servers, and the document's own tools, as one server. It knows no transport and no framing."""
