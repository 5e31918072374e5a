"""What goes wrong as an event is told: kept from whoever tells it, and told as `receiver_failed` instead."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import PurePath
from traceback import walk_stack, walk_tb
from types import FrameType

from .log_throttle import LogThrottle

log = logging.getLogger("events")

strict_blocks: list[None] = []  # one entry an open block; append and pop are atomic, so no lock is needed


@contextmanager
def strict() -> Iterator[None]:
    """Let every failure of a receiver, and every field that does not fit, through to the sender: for tests.

    Holds for the whole process, so failures in other threads show too. In it every event is built, heard or not, but
    for those of `Signal.bind`, whose fields were checked when they were bound.
    """
    strict_blocks.append(None)
    try:
        yield
    finally:
        strict_blocks.pop()


_throttle = LogThrottle()


def emit_receiver_failed(signal: str, receiver: str, error: BaseException) -> None:
    """Emit `receiver_failed`; `events.pipeline` puts the real one here, since its signals stand on this module."""


def report_failure(signal: str, receiver: str, error: BaseException) -> None:
    """Report that a receiver of a signal failed: emitted as `receiver_failed`, logged at most once a minute.

    Under `strict` the error is raised instead. The log holds the error's type and place, not its message: a message
    may quote what it was given. Nothing is reported of what fails because the interpreter is shutting down.
    """
    if strict_blocks:
        raise error
    if sys.is_finalizing():
        return
    if _throttle.is_due((signal, receiver)):
        log.warning(
            "%s: receiver %s failed with %s at %s", signal, receiver, type(error).__name__, error_location(error)
        )
    emit_receiver_failed(signal, receiver, error)


def error_location(error: BaseException) -> str:
    """Say where an error was raised, ``file:line``; for one that was raised here, who called."""
    raised = list(walk_tb(error.__traceback__))[-1:]
    if not raised or is_ours(raised[0][0]):
        raised = [step for step in walk_stack(None) if not is_ours(step[0])][:1]
    return f"{raised[0][0].f_code.co_filename}:{raised[0][1]}" if raised else "unknown place"


def is_ours(frame: FrameType) -> bool:
    """Tell whether a frame runs a module beside this one."""
    return PurePath(frame.f_code.co_filename).parent == PurePath(__file__).parent
