"""A check before each attempt at a call of a model, retries and fallbacks included: whether it may still be made.

Whoever starts the work opens the gate for its task; the model's wrappers know nothing of what it asks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_check: ContextVar[Callable[[], None]] = ContextVar("call_gate", default=lambda: None)


@contextmanager
def gated(check: Callable[[], None]) -> Iterator[None]:
    """Call ``check()`` before each attempt at a call while the block runs; its exception takes the call's place."""
    token = _check.set(check)
    try:
        yield
    finally:
        _check.reset(token)


def pass_gate() -> None:
    """Raise what the check of the running work raises, if there is one."""
    _check.get()()
