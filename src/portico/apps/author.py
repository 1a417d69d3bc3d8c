"""Who makes a change on this machine, as the audit of a store names them."""

from __future__ import annotations

import os
import pwd
import socket


def author() -> str:
    """USER@HOST, by the system's own word and not by the environment's."""
    try:
        user = pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        user = str(os.getuid())
    return f"{user}@{socket.gethostname()}"[:255]
