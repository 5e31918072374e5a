"""Which errors are timeouts, whoever raised them."""

from __future__ import annotations


def is_timeout(error: BaseException | None) -> bool:
    """Return whether an error is a timeout, was caused by one, or is a group of nothing else.

    The SDKs have classes of their own (httpx's ``ReadTimeout``, OpenAI's ``APITimeoutError``), matched by name.
    """
    return _is_timeout(error, set())


def _is_timeout(error: BaseException | None, seen: set[int]) -> bool:
    while error is not None and id(error) not in seen:  # a chain may be a circle
        seen.add(id(error))
        if isinstance(error, TimeoutError) or any("Timeout" in parent.__name__ for parent in type(error).__mro__):
            return True
        if isinstance(error, BaseExceptionGroup):
            return all(_is_timeout(member, {*seen}) for member in error.exceptions)
        error = error.__cause__
    return False
