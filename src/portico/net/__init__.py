"""Where Portico meets other machines: every outbound socket of both planes is opened here, under one egress policy.

Start reading at `http_client.py` (what callers use); then `pool.py`, `connection.py` (the hot path), `dialer.py` (how
a connection comes about) and `egress.py` (where we may connect at all).
"""
