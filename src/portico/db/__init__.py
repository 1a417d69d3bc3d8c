"""Databases: engines for the three dialects, what differs between them, and the migrations of the schema."""
