"""Events of HTTP requests and websockets."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from .applications import is_among
from .bus.fields import Bytes, Code, Label, Seconds
from .bus.signal import Signal

Method = Literal["GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH", "other"]
"""The nine methods of RFC 9110 and RFC 5789; any other word that a client sends is ``other``.

So is one of the nine that was answered with 405: the route does not have it.
"""

Outcome = Literal[
    "ok", "client_error", "server_error", "client_disconnect", "timeout", "cancelled", "stream_aborted"
]  # fmt: skip
"""How a request ended.

- ``ok``: a complete response with a status code below 400.
- ``client_error``: one with a code below 500.
- ``server_error``: one with any other code, or a failure before the response started.
- ``stream_aborted``: a failure after the response had started.
- ``timeout``, ``cancelled``: ended by a `TimeoutError`, or by a cancellation from outside such as the server's
  shutdown, whether the response had started or not.
- ``client_disconnect``: the client left before it had the complete response.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class HTTPRequestFinished:
    """A request was answered, or its client disconnected (status code 499).

    ``endpoint`` is the route's full template, ``unmatched`` where no route matches. ``status_code`` is the one that was
    sent, 500 where the application failed before it sent one; ``error`` is then the name of the exception's class.
    ``duration`` ends with the body, not with what the application does afterwards. ``first_byte`` is the time to the
    first byte of the body (for a response without one, to its end), None where none was sent. ``streamed`` is a
    response in several parts without a ``Content-Length``. Sizes are of bodies: ``request_size`` as it was read, or as
    announced where the application did not read it; ``response_size`` as it was passed to the server. ``self_time`` is
    the part of ``duration`` that is none of `HTTPRequestWaited`: all of it where that is not emitted. ``applications``
    are the names of those that the request went through, as in ``shop/admin``, if their middlewares have names.
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
    self_time: Seconds | None = None
    error: str = ""
    applications: str = ""

    is_of_fields: ClassVar = ("applications",)

    def is_of(self, application: str) -> bool:
        """Return whether the application of this name served the request; any did if the name is empty."""
        return is_among(self.applications, application)


@dataclass(frozen=True, slots=True, kw_only=True)
class HTTPRequestWaited:
    """A request that was answered had waited for a database, a model or a tool.

    Each moment of the request belongs to one of them at most: see `events.request_phases`. With the ``self_time`` of
    `HTTPRequestFinished` they add up to its ``duration``.
    """

    endpoint: Label
    database_time: Seconds
    llm_time: Seconds
    tool_time: Seconds
    backoff_time: Seconds
    applications: str = ""

    is_of_fields: ClassVar = ("applications",)

    def is_of(self, application: str) -> bool:
        """Return whether the application of this name served the request; any did if the name is empty."""
        return is_among(self.applications, application)


@dataclass(frozen=True, slots=True, kw_only=True)
class WebsocketFinished:
    """An accepted websocket ended.

    ``channel`` is the route's full template: what ``endpoint`` is to a request, under another name since it has a label
    limit of its own. ``close_code`` is that of RFC 6455, section 7.4.1, as text: 1006 where the connection ended
    without one, ``other`` for a private code that the client chose. ``duration`` starts with the acceptance.
    ``received`` and ``sent`` count messages. A refused handshake is not a websocket but an answered request.
    """

    channel: Label
    close_code: Label
    duration: Seconds
    received: int
    sent: int
    error: str = ""
    applications: str = ""

    is_of_fields: ClassVar = ("applications",)

    def is_of(self, application: str) -> bool:
        """Return whether the application of this name served the websocket; any did if the name is empty."""
        return is_among(self.applications, application)


@dataclass(frozen=True, slots=True, kw_only=True)
class HTTPActivityRead:
    """The requests and websockets that are served at this moment were counted, at a scrape.

    They are those of the process, or of the application of this name.
    """

    requests: int
    websockets: int
    application: str = ""

    is_of_fields: ClassVar = ("application",)

    def is_of(self, application: str) -> bool:
        """Return whether the numbers are those of this application, or of the process if the name is empty."""
        return application == self.application


http_request_finished = Signal(HTTPRequestFinished)
http_request_waited = Signal(HTTPRequestWaited)
websocket_finished = Signal(WebsocketFinished)
http_activity_read = Signal(HTTPActivityRead)
