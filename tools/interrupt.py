"""The signals that end a tool: the first one lets it end what it started, and those that follow do not disturb that."""

from __future__ import annotations

import signal
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def end_on_signals() -> None:
    """Have SIGTERM and SIGHUP end this process as Ctrl-C does: KeyboardInterrupt is raised, once."""
    for number in SIGNALS:
        signal.signal(number, interrupt)


def interrupt(_number: int, _frame: FrameType | None) -> None:
    """Ignore all further signals and raise KeyboardInterrupt."""
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    raise KeyboardInterrupt
