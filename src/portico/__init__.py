"""Portico: a gateway that turns REST APIs into MCP endpoints, from YAML."""

__version__ = "0.1.0"
