"""What HTTP clients asked for, and what they said over websockets."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from .bus.fields import Bytes, Code, Label, Seconds
from .bus.signal import Signal

Method = Literal["GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH", "other"]
"""The nine methods of RFC 9110 and RFC 5789; any other word a client sends is ``other``.

So is one of the nine that was answered 405: it is none that the route has.
"""

Outcome = Literal[
    "ok", "client_error", "server_error", "client_disconnect", "timeout", "cancelled", "stream_aborted"
]  # fmt: skip
"""What became of a request.

``ok`` is a whole answer with a code below 400, ``client_error`` one below 500, ``server_error`` any other, or a failure
before there was one; a failure after the answer had begun is ``stream_aborted``. ``timeout`` and ``cancelled`` are
requests that a `TimeoutError`, or a cancellation from outside such as the server's shutdown, cut short, begun or not.
``client_disconnect`` is a client that left before it had the whole answer.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class HTTPRequestFinished:
    """A request was answered, or its client went away (status code 499).

    ``endpoint`` is the route's full template, ``unmatched`` where no route fits. ``status_code`` is the one that was
    sent, 500 where the application failed before it sent any; ``error`` then names the exception. ``duration`` ends
    with the body, not with what the application does afterwards. ``first_byte`` is the time to the first byte of the
    body (to the end of an answer without one), None where none was sent. ``streamed`` tells an answer that came in
    pieces and did not say how long it would be. Sizes are of bodies: ``request_size`` as it was read, or announced
    where nobody read it; ``response_size`` as it was handed to the server.
    """

    method: Method
    endpoint: Label
    status_code: Code
    outcome: Outcome
    duration: Seconds
    first_byte: Seconds | None = None
    streamed: bool = False
    request_size: Bytes | None = None
    response_size: Bytes | None = None
    error: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class WebsocketFinished:
    """An accepted websocket came to its end.

    ``channel`` is the route's full template: what ``endpoint`` is to a request, by another name since it has a bound of
    its own. ``close_code`` is that of RFC 6455, section 7.4.1, as text: 1006 where the connection ended without one,
    ``other`` for a private code that the client chose. ``duration`` begins with the acceptance. ``received`` and
    ``sent`` count messages. A handshake that is refused is no session but an answered request.
    """

    channel: Label
    close_code: Label
    duration: Seconds
    received: int
    sent: int
    error: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class HTTPActivityRead:
    """The requests and websockets that the process serves at this moment were counted."""

    requests: int
    websockets: int


http_request_finished = Signal(HTTPRequestFinished)
websocket_finished = Signal(WebsocketFinished)
http_activity_read = Signal(HTTPActivityRead)
