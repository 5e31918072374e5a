"""A port to give to a server that has to be told one."""

from __future__ import annotations

import socket
from random import SystemRandom

FIRST, LAST = 10_000, 32_000
"""Above are, by Linux's default, the ports of which the kernel gives one to each connection that begins."""

_random = SystemRandom()  # pytest-randomly seeds the other one alike in every process of a run


def free_port() -> int:
    """Return a loopback port on which nobody listens, and which no connection gets until somebody does."""
    while True:
        number = _random.randint(FIRST, LAST)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", number))
            except OSError:
                continue
        return number
