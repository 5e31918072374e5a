"""The scope that the events of a call, a tool's use or a lookup are emitted in: the one that it began in."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

from ...bus.scope import Scope, get_current_scope, use_scope
from ...bus.signal import NO_SCOPE


def in_scope(scope: Scope | None) -> AbstractContextManager[None]:
    """Return a ``with`` block inside a scope, or outside of all where there is none, wherever the running code is.

    What began outside of all may end elsewhere: in a task that a library makes for its end, with a context in which
    an agent's stream is not known to be suspended.
    """
    if scope is not None:
        return use_scope(scope)
    return nullcontext() if get_current_scope() is None else use_scope(NO_SCOPE)
