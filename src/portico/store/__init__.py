"""Keeps documents: the text that was written, under a key."""
