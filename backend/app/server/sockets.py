"""The sockets that the studio listens on: where ports are bound."""

from __future__ import annotations

import errno
import socket
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass

from .connection_limit import Listener
from .startup_error import StartupError

BACKLOG = 2048


@dataclass(frozen=True)
class Listeners:
    """The listening sockets of the API and of the metrics: the same one, unless the metrics have their own port."""

    api: Listener
    metrics: Listener


@contextmanager
def listen(host: str, port: int, setting: str = "SPARKLIO_PORT") -> Generator[Listener]:
    """Listen on a port while the block runs; connections wait in the backlog until the studio accepts them.

    Args:
        host: The address.
        port: The port; 0 takes a free one.
        setting: The setting that names the port, for the error's message.

    Raises:
        StartupError: The port is taken, or the address is not one of this machine.
    """
    address = f"{host}:{port}"
    try:
        family, kind, protocol, _, resolved = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = Listener(family, kind, protocol)
    except OSError as error:
        raise StartupError(
            f"Cannot listen on {address}: {error.strerror}; set SPARKLIO_HOST to another address."
        ) from None
    with listener:
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(resolved)
            # At once: with SO_REUSEADDR, Linux lets two processes bind a port until one of them listens.
            listener.listen(BACKLOG)
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                reason, advice = "another program listens there", f"stop it, or set {setting} to another port"
            else:
                reason, advice = str(error.strerror), f"set SPARKLIO_HOST or {setting} to another one"
            raise StartupError(f"Cannot listen on {address}: {reason}; {advice}.") from None
        yield listener
