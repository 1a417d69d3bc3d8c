"""Measures the gateway against nginx as a reverse proxy, in the same run. See README.md beside this file."""
