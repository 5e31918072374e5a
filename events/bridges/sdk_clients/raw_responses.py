"""Responses that their reader parses: those of ``with_raw_response`` and ``with_streaming_response``.

One whose body was read with it ends the call at once. Any other ends it when its body is read, closed or dropped, and a
stream that is parsed of it when that ends. Lines and bytes that are read of a stream one by one are not looked at, so
that the tokens in them are unknown.
"""

from __future__ import annotations

from functools import cache
from inspect import iscoroutinefunction
from typing import Any, Protocol

from .observed_classes import derive_class, set_class

_REQUEST = "_events_request"


class ParsedRequest(Protocol):
    """The request whose answer is parsed."""

    def track(self, parsed: Any) -> None:
        """Follow what was parsed to its end, if it is a stream; must not raise."""


def observe_parse(response: Any, request: ParsedRequest) -> None:
    """Report the streams that are parsed of a raw response to its request."""
    setattr(response, _REQUEST, request)
    cls: Any = type(response)
    set_class(response, _observed_class(cls))


@cache
def _observed_class(cls: Any) -> Any:
    def parse(self: Any, *args: Any, **options: Any) -> Any:
        parsed = cls.parse(self, *args, **options)
        getattr(self, _REQUEST).track(parsed)
        return parsed

    async def async_parse(self: Any, *args: Any, **options: Any) -> Any:
        parsed = await cls.parse(self, *args, **options)
        getattr(self, _REQUEST).track(parsed)
        return parsed

    return derive_class(cls, parse=async_parse if iscoroutinefunction(cls.parse) else parse)
