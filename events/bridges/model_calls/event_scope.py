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
    return IN_EFFECT if is_in_effect(scope) else use_scope(scope or NO_SCOPE)


IN_EFFECT = nullcontext()
"""Of a scope that the running code is inside already."""


def is_in_effect(scope: Scope | None) -> bool:
    """Return whether an event that is emitted now is of a scope by itself; None and `NO_SCOPE` are outside of all.

    To make a scope the current one takes as long as half of an event.
    """
    current = get_current_scope()
    return current is scope or (current is None and scope is NO_SCOPE)
