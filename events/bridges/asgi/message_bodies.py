"""The bodies of requests and responses: how long they are, and how they are sent."""

from __future__ import annotations

from ..asgi_types import Scope

STATUSES_WITHOUT_BODY = frozenset((204, 304))  # RFC 9110, sections 15.3.5 and 15.4.5
PATHSEND = "http.response.pathsend"
FILE_MESSAGES = (PATHSEND, "http.response.zerocopysend")  # ASGI extensions: the server reads the file itself
HEADERS_OF_BODY = frozenset((b"content-length", b"transfer-encoding"))
HTTP_1 = frozenset(("1.0", "1.1"))


class BodyParts:
    """A body that is sent in several parts, or by the server from a file, as far as it is known.

    Attributes:
        first_byte: Seconds until the first of several chunks was sent; None before.
        streamed: Whether the client does not know its length.
        sent_by_server: Whether the server reads some of it from a file.
    """

    __slots__ = ("first_byte", "sent_by_server", "streamed")

    def __init__(self) -> None:
        self.first_byte: float | None = None
        self.streamed = self.sent_by_server = False


def unread_body_size(scope: Scope, received: int) -> int | None:
    """Return the bytes of a request body that was not read to its end: as announced, None where it may be any number.

    ``received`` is how many of them were read.
    """
    for name, value in scope["headers"]:
        if name in HEADERS_OF_BODY:
            return int(value) if name == b"content-length" and value.isdigit() else None
    return received if scope.get("http_version") in HTTP_1 else None  # HTTP/2 may leave Content-Length out
