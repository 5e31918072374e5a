"""The exit codes of the launcher and of its workers."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable

from app.settings_loading import InvalidSettings

from .startup_error import StartupError

INTERRUPTED = 130  # by a signal before the start was complete; the shell's code for Ctrl-C


def exit_code_of(run: Callable[[], int]) -> int:
    """Call ``run()`` and return its exit code: 1, with the message on standard error, if the studio cannot start."""
    try:
        return run()
    except (InvalidSettings, StartupError) as error:
        print(error, file=sys.stderr)  # noqa: T201 - for the person at the terminal
        return 1
    except (KeyboardInterrupt, asyncio.CancelledError):
        return INTERRUPTED
