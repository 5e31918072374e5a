"""Functions that run in a forked process."""

from __future__ import annotations

import os
import traceback
from collections.abc import Callable


def in_child(function: Callable[[], object]) -> str:
    """Return what a function returns in a process that is forked from this one, as text; its traceback if it raises."""
    read, write = os.pipe()
    child = os.fork()
    if not child:
        try:
            text = str(function())
        except BaseException:
            text = traceback.format_exc()
        os.write(write, text.encode())
        os._exit(0)
    os.close(write)
    with os.fdopen(read, "rb") as result:
        text = result.read().decode()
    os.waitpid(child, 0)
    return text
