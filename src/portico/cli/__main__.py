"""`python -m portico.cli`, which is `portico`."""

from portico.cli import main

main()
