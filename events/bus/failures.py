"""The failure of a receiver: logged and reported, or raised in strict mode.

It is caught where receivers are called: `signal`, `emitters`, `prepared_receivers`, and `background` in a thread.
"""

from __future__ import annotations

import logging
import os.path
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import MISSING, dataclass
from dataclasses import fields as dataclass_fields
from traceback import walk_stack, walk_tb
from types import FrameType
from typing import Any

from .log_throttle import LogThrottle

log = logging.getLogger("events")

strict_blocks: list[None] = []  # one entry for each open block; append and pop are atomic, so no lock is needed


@contextmanager
def strict() -> Iterator[None]:
    """Raise every failure of a receiver, and every field that does not fit, where the event is emitted: for tests.

    A value outside the closed set of its field (its ``Literal``, its enum, ``bool``) does not fit either; a metric
    would count it as ``other``.

    >>> from events import strict, tool_called
    >>> with strict():
    ...     tool_called.emit(tool="search", status="success", duration=0.1)
    Traceback (most recent call last):
    TypeError: ToolCalled.__init__() got an unexpected keyword argument 'tool'

    It holds for the whole process, so failures in other threads show too. While it lasts every event is built, even
    without receivers, except those emitted through `Signal.bind`, whose values are checked all the same.
    """
    strict_blocks.append(None)
    try:
        yield
    finally:
        strict_blocks.pop()


@dataclass(slots=True)
class FailureHooks:
    """The callbacks that turn what goes wrong in the bus, and who can fail, into events; `events.pipeline` sets them.

    So the bus reports and the vocabulary emits: the events of these reports are declared on top of the bus, which does
    not know them.
    """

    receiver_failed: Callable[[str, str, BaseException], None] = lambda _signal, _receiver, _error: None
    event_dropped: Callable[[str, str], None] = lambda _signal, _receiver: None
    connected: Callable[[str, Callable[..., Any]], None] = lambda _signal, _receiver: None


failure_hooks = FailureHooks()

_throttle = LogThrottle()


def report_failure(signal: str, receiver: str, error: BaseException) -> None:
    """Report that a receiver of a signal failed: emitted as `receiver_failed`, logged at most once a minute.

    In a `strict` block the error is raised instead. The log has the error's type and place, not its message, which may
    quote a prompt or a key. While the interpreter shuts down nothing is reported: receivers fail then because modules
    are gone. `receiver_failed` is emitted while the error is handled: its receivers have it by ``sys.exception()``.
    """
    _report(signal, receiver, error, lambda: f"receiver {receiver} failed with {type(error).__name__}")


def report_failed_emission(
    signal: str, method: str, error: Exception, find_misfits: Callable[[], str] = lambda: ""
) -> None:
    """Report that what was emitted does not fit the event, as `report_failure` reports a receiver.

    Args:
        signal: The signal's name.
        method: The method that was called, such as ``emit``; it stands for the receiver in `receiver_failed`.
        error: What was raised.
        find_misfits: Called for the log: returns what does not fit, in names of fields alone, or nothing.
    """

    def describe() -> str:
        misfits = find_misfits()
        return f"{method} failed, {misfits}," if misfits else f"{method} failed with {type(error).__name__}"

    _report(signal, method, error, describe)


def field_misfits(event: type[Any], names: Iterable[str]) -> str:
    """Return which of these fields an event does not have, else which it lacks; empty if they fit."""
    specs = {each.name: each for each in dataclass_fields(event) if each.init}
    passed = [*names]
    if unknown := [name for name in passed if name not in specs]:
        return f"no field {', '.join(repr(name) for name in unknown)}"
    required = [name for name, spec in specs.items() if spec.default is MISSING and spec.default_factory is MISSING]
    if absent := [name for name in required if name not in passed]:
        return f"field {', '.join(repr(name) for name in absent)} is missing"
    return ""


def _report(signal: str, receiver: str, error: BaseException, what: Callable[[], str]) -> None:
    if strict_blocks:
        raise error
    if sys.is_finalizing():
        return
    if _throttle.is_due((signal, receiver)):
        log.warning("%s: %s at %s", signal, what(), error_location(error))
    if sys.exception() is error:
        failure_hooks.receiver_failed(signal, receiver, error)
        return
    try:
        raise error  # noqa: TRY301  # so that it is handled while the hook runs
    except BaseException:
        failure_hooks.receiver_failed(signal, receiver, error)


def report_drop(signal: str, receiver: str) -> None:
    """Report that an event did not reach a receiver that could take no more: emitted as `event_dropped`."""
    failure_hooks.event_dropped(signal, receiver)


def error_location(error: BaseException) -> str:
    """Return where an error was raised, as ``file:line``; for one raised by the bus, the line that called the bus."""
    raised = list(walk_tb(error.__traceback__))[-1:]
    if not raised or is_bus_frame(raised[0][0]):
        raised = [step for step in walk_stack(None) if not is_bus_frame(step[0])][:1]
    return f"{raised[0][0].f_code.co_filename}:{raised[0][1]}" if raised else "unknown place"


def sending_location() -> str:
    """Return where the code is that sends a signal just now, as ``file:line``: outside of the bus and of blinker."""
    for frame, line in walk_stack(None):
        if not is_bus_frame(frame) and not str(frame.f_globals.get("__name__")).startswith("blinker."):
            return f"{frame.f_code.co_filename}:{line}"
    return "unknown place"


def is_bus_frame(frame: FrameType) -> bool:
    """Return whether a frame runs code of this package."""
    return os.path.dirname(frame.f_code.co_filename) == os.path.dirname(__file__)  # noqa: PTH120  # pathlib takes long to import
