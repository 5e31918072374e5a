"""The error that ends a span: the one that is being handled then, since the SDK's own record of it is a text.

A span ends as its ``with`` or ``finally`` block is left, with the exception that leaves it; one that was being handled
before it started, such as that of the attempt before, is none of it.
"""

from __future__ import annotations

import sys
from typing import Any

WRAPPERS = frozenset({"UserError", "AgentsException"})
"""Errors that the SDK raises in place of one that a tool raised, which is their cause."""


def error_now(handled_before: BaseException | None) -> BaseException | None:
    """Return the exception that ends a span now; None where it ends without one.

    Args:
        handled_before: The exception that was being handled when it started.
    """
    error = sys.exception()
    if error is None or error is handled_before:
        return None
    if type(error).__name__ in WRAPPERS and error.__cause__ is not None:
        return error.__cause__
    return error


def has_error(span: Any) -> bool:
    """Return whether the SDK says that something failed in a span."""
    return getattr(span, "error", None) is not None
