"""Runs a module as the main one in a forked process, which looks as if it had been executed and ends for good."""

from __future__ import annotations

import atexit
import gc
import os
import runpy
import sys
import threading
from collections.abc import Sequence
from typing import NoReturn


def run_as_main(module: str, arguments: Sequence[str]) -> NoReturn:
    """Run a module with a command line, and end the process with its exit code.

    It ends as one of `multiprocessing`, without taking apart what was imported: that would copy all of its memory.
    """
    sys.argv = [module, *arguments]
    try:
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    except SystemExit as end:
        if not isinstance(end.code, int):  # a message to print, or None
            raise
        code = end.code
    else:
        code = 0
    end_process(code)


def end_process(code: int) -> NoReturn:
    """End this process as the interpreter does, but for taking apart what was imported."""
    threading._shutdown()  # type: ignore[attr-defined]  # as the interpreter's end: first the threads, then the functions
    atexit._run_exitfuncs()
    gc.collect()  # what is not closed yet says so
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
