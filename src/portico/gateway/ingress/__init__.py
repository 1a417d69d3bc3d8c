"""HTTP server ↔ Exchange. Knows no MCP."""
