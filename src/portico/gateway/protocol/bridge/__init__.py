"""Clients of one era and MCP servers of the other: each is spoken to in its own."""
