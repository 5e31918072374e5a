"""The scope of a run's code, which LangChain lets be entered and, in asynchronous code, not be left."""

from __future__ import annotations

from inspect import CO_ASYNC_GENERATOR, CO_GENERATOR
from sys import _getframe
from types import FrameType

from ...bus.scope import Scope, current_scope, get_effective_scope, is_contextlib, running_task
from .generator_frames import is_at_yield

CALLBACKS = "langchain_core.callbacks."
"""Where a handler is called from; the frames behind it are those of the run."""

MAX_FRAMES = 12


class RunScope(Scope):
    """The scope of the code of an agent's run: inside the agent until the run ends, and outside of it after that.

    A handler is called in the context of the run's code when the run starts. At the end of an asynchronous run it is
    called in a task of its own, which cannot put the context back: the scope itself has to say that it is over. A run
    that yields, as a stream does, shares the context with its reader, who is not inside, and neither are the tasks and
    threads that the reader waits for before it goes on.

    Args:
        inside: The scope of the agent.
        around: The scope that was in effect when the run started; None outside of all.
    """

    __slots__ = ("around", "inside")

    def __init__(self, inside: Scope, around: Scope | None) -> None:
        super().__init__({}, around, {})
        self.inside = inside
        self.around = around
        self.frame = None
        self.owner = None
        self.in_generator = True  # has whoever asks for a scope call `effective`

    def effective(self) -> Scope | None:
        """Return the scope of the agent; once the run has ended, or while its reader has the word, the one around."""
        if not self.ended and not self._is_suspended():
            return self.inside
        return None if self.around is None else self.around.effective()

    def is_shared(self) -> bool:
        """Return whether the running code is in a context that it may have from the stream's reader as from the run."""
        return self.frame is not None and bool(self.owner != running_task())

    def _is_suspended(self) -> bool:
        frame: FrameType | None = self.frame
        if frame is None or frame.f_back is not None:
            return False
        return is_at_yield(frame) or bool(self.owner == running_task())


def enter_run_scope(inside: Scope) -> RunScope:
    """Make the running code be inside an agent's scope until the scope that is returned ends."""
    around = current_scope.get()
    if around is not None and (around.ended or not isinstance(around, RunScope)):
        around = around.effective()  # no chain of scopes that are over
    scope = RunScope(inside, around)
    frame = generator_of_run(_getframe(1))
    if frame is not None:
        scope.frame, scope.owner = frame, running_task()
    current_scope.set(scope)
    return scope


def leave_run_scope(scope: RunScope) -> None:
    """End a scope, and put back the one around it where the running code is in it."""
    around = scope.around
    scope.end()
    if current_scope.get() is scope:
        current_scope.set(around)


def generator_of_run(frame: FrameType | None) -> FrameType | None:
    """Return the frame of the generator that the run is, or that is run by; None where none is near."""
    for _ in range(MAX_FRAMES):
        if frame is None:
            return None
        flags = frame.f_code.co_flags
        if (
            flags & (CO_GENERATOR | CO_ASYNC_GENERATOR)
            and not str(frame.f_globals.get("__name__")).startswith(CALLBACKS)
            and not is_contextlib(frame.f_back)
        ):
            return frame
        frame = frame.f_back
    return None


def is_within(scope: Scope | None, outer: Scope) -> bool:
    """Return whether a scope is another one, or inside of it."""
    while scope is not None and scope is not outer:
        scope = scope.parent
    return scope is not None


def is_inside(scope: Scope) -> bool:
    """Return whether the running code is inside a scope, and stays so whatever the reader of a stream does."""
    now = current_scope.get()
    return not (isinstance(now, RunScope) and now.is_shared()) and is_within(get_effective_scope(), scope)
