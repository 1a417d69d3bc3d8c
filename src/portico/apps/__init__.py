"""Composition roots: the only place where objects are built and joined."""
