"""From documents to the world that requests run in."""
