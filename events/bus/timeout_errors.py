"""Which errors are timeouts, whoever raised them."""

from __future__ import annotations


def is_timeout(error: BaseException | None) -> bool:
    """Return whether an error is a timeout, was caused by one, or is a group of nothing else.

    The SDKs have classes of their own (httpx's ``ReadTimeout``, OpenAI's ``APITimeoutError``), matched by name.
    """
    while error is not None:
        if isinstance(error, TimeoutError) or any("Timeout" in parent.__name__ for parent in type(error).__mro__):
            return True
        if isinstance(error, BaseExceptionGroup):
            return all(is_timeout(member) for member in error.exceptions)
        error = error.__cause__
    return False
