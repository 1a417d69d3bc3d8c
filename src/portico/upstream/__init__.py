"""Where calls go. `http_api.py` is a REST API: `http_request.py` writes what a tool asks, `http_answer.py` makes
content for a model of what comes back. `mcp/` holds MCP servers that are relayed, and `pool.py` leases them.
"""
