"""The scope of a request, which knows its endpoint as soon as the router has found it, for log lines about it."""

from __future__ import annotations

from typing import Protocol

from ...bus.scope import Scope


class EndpointSource(Protocol):
    """The tracker of a request."""

    def find_endpoint(self) -> str:
        """Return the template of the route that the request was matched to; must not raise."""


class RequestScope(Scope):
    """The scope of a request. ``source`` is its tracker while it lasts, and its endpoint once it has ended.

    The tracker sets it, as an ``__init__`` would cost each request another call.
    """

    __slots__ = ("source",)

    source: EndpointSource | str

    @property
    def endpoint(self) -> str:
        """The template of the request's route, as far as it is known by now."""
        return self.source if isinstance(self.source, str) else self.source.find_endpoint()
