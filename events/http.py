"""What HTTP clients asked for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from .fields import Code, Label, Seconds
from .signal import Signal

Method = Literal["GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH", "other"]
"""The nine methods of RFC 9110 and RFC 5789; any other word a client sends is ``other``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HTTPRequestFinished:
    """A request was answered, or its client went away (status code 499).

    ``endpoint`` is the route's full template, ``unmatched`` where no route fits. ``status_code`` is the one that was
    sent, 500 where the application failed before it sent any; ``error`` then names the exception. ``duration`` ends
    with the body, not with what the application does afterwards.
    """

    method: Method
    endpoint: Label
    status_code: Code
    duration: Seconds
    error: str = ""


http_request_finished = Signal(HTTPRequestFinished)
