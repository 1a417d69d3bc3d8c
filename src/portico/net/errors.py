"""What can go wrong with an outbound call, and whose fault it was.

`message` is a whole sentence that names host and port and the cause, and never a secret. `sent` says whether any byte
of the request may have left: only an error with `sent` False may be answered by trying again without knowing that the
request is idempotent.
"""


class NetError(Exception):
    def __init__(self, message: str, *, sent: bool = False) -> None:
        super().__init__(message)
        self.message = message
        self.sent = sent


class Unreachable(NetError):
    """No connection, or one that broke before a byte of the answer arrived."""


class TimedOut(NetError):
    """The peer was too slow: to accept, to begin its answer, or to finish it."""


class Malformed(NetError):
    """The peer broke HTTP, its encoding, or off in mid-answer."""


class Rejected(NetError):
    """Our own rules refused: the egress policy, a limit, or a coding that we do not speak."""


class Busy(Rejected):
    """Too many calls of one origin are under way; trying again a little later may work."""
