"""The scope that the events of a call, a tool's use or a lookup are emitted in: the one that it began in.

And whether anybody hears of them there.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any

from ...bus.failures import strict_blocks
from ...bus.scope import Scope, get_current_scope, use_scope
from ...bus.signal import NO_SCOPE, Signal


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


def is_heard(signal: Signal[..., Any]) -> bool:
    """Return whether anybody gets an event that is emitted here: a listener, a strict block, or a span that sums it."""
    return bool(signal.receivers) or is_heard_in(get_current_scope(), signal)


def is_heard_in(scope: Scope | None, signal: Signal[..., Any]) -> bool:
    """Return whether anybody gets an event of a scope: a listener, a strict block, or a span that sums it."""
    if signal.receivers or strict_blocks:
        return True
    return scope is not None and scope is not NO_SCOPE and scope.is_summing(signal.name)
