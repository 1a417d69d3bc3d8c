"""Migrations of the schema, run by `portico migrate` and never by a gateway.

They expand first and contract later: a migration that only adds lets programs of the schema before go on working, and
says so by leaving `least` in the table `meta` as it is. One that takes something away raises `least` to the oldest
schema whose programs do without it.
"""

SCHEMA = 1
"""The schema that this program was written for: the number of the newest migration in `versions`."""
