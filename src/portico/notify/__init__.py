"""Tells processes that something changed: "revision N", never what changed."""
