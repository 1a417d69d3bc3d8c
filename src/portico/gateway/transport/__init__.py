"""HTTP ↔ MCP messages. Knows framing and sessions, no methods."""
