"""Compiled look-ups: frozen data, no I/O."""
