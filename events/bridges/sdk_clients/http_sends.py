"""Each request that the HTTP client of an SDK sends, as an attempt at the call that is under way.

The SDKs retry by themselves, and tell nobody. What is overridden is the public method ``send`` of a client of httpx or
httpx2, which several clients of an SDK may share; a request that none of them sends for a call passes unchanged, and so
does one for another purpose, as to get a token.
"""

from __future__ import annotations

from functools import cache
from inspect import iscoroutinefunction
from time import perf_counter
from typing import Any

from ..model_calls.claims import current_claim
from ..model_calls.response_headers import lower_name, triples_of
from .observed_classes import derive_class, set_class

SDK_HEADER = b"x-stainless-lang"
"""Each request to an API has it, in every release of both SDKs."""


_MARK = "_events_observed"


def observe_sends(http_client: Any) -> None:
    """Have an HTTP client report each request that it sends, unless it does."""
    cls: Any = type(http_client)
    if not getattr(cls, _MARK, False):
        set_class(http_client, _observed_class(cls))


@cache
def _observed_class(cls: Any) -> Any:
    def send(self: Any, request: Any, **options: Any) -> Any:
        claim = current_claim.get()
        sender = None if claim is None else claim.sender
        if sender is None or not _is_to_api(request):
            return cls.send(self, request, **options)
        started_at = perf_counter()
        try:
            response = cls.send(self, request, **options)
        except BaseException as error:
            sender.record_send(started_at, None, error)
            raise
        sender.record_send(started_at, response, None)
        return response

    async def async_send(self: Any, request: Any, **options: Any) -> Any:
        claim = current_claim.get()
        sender = None if claim is None else claim.sender
        if sender is None or not _is_to_api(request):
            return await cls.send(self, request, **options)
        started_at = perf_counter()
        try:
            response = await cls.send(self, request, **options)
        except BaseException as error:
            sender.record_send(started_at, None, error)
            raise
        sender.record_send(started_at, response, None)
        return response

    return derive_class(cls, send=async_send if iscoroutinefunction(cls.send) else send, **{_MARK: True})


def _is_to_api(request: Any) -> bool:
    return SDK_HEADER in map(lower_name, triples_of(getattr(request, "headers", None)) or ())
