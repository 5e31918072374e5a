"""Runs a command line of Python in a forked process, as the interpreter does that is executed with it."""

from __future__ import annotations

import os
import runpy
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

from tests.support.main_modules import end_process

WARNINGS_ARE_ERRORS = ("-W", "error")
"""The only options of Python's own that are understood; this process has been started with them."""


def run_command_line(command: Sequence[str], *, installed: Sequence[str]) -> None:
    """Run code (``-c``), a module (``-m``) or a file, and end the process with its exit code.

    What the program itself has imported is taken apart at its end: what is not closed yet says so. What was imported
    before stays, as it would be copied.

    Args:
        command: What follows the name of the program.
        installed: The path of modules without those of ``PYTHONPATH``, which come first.
    """
    if tuple(command[:2]) == WARNINGS_ARE_ERRORS:
        command = command[2:]
    else:
        sys.warnoptions.clear()
        warnings.filters.remove(("error", None, Warning, None, 0))  # type: ignore[attr-defined]
        warnings._filters_mutated()  # type: ignore[attr-defined]
    own = [str(Path(entry).absolute()) for entry in os.environ.get("PYTHONPATH", "").split(os.pathsep) if entry]
    sys.path[:] = [*dict.fromkeys([*own, *installed])]
    for name in [name for name in sys.modules if name.partition(".")[0] == "tests"]:
        del sys.modules[name]
    preloaded = {*sys.modules}
    try:
        run(*command)
    except SystemExit as end:
        if not isinstance(end.code, int):  # a message to print, or None
            raise
        code = end.code
    else:
        code = 0
    vars(sys.modules.pop("__main__")).clear()
    for name in sys.modules.keys() - preloaded:
        del sys.modules[name]
    end_process(code)


def run(what: str, *words: str) -> None:
    """Run code, a module or a file as the main module."""
    if what == "-m":
        sys.argv = [*words]
        sys.path.insert(0, str(Path.cwd()))
        runpy.run_module(words[0], run_name="__main__", alter_sys=True)
    elif what == "-c":
        sys.argv = [what, *words[1:]]
        sys.path.insert(0, "")
        run_in(ModuleType("__main__"), words[0], "<string>")
    else:
        file = Path(what).absolute()
        sys.argv = [what, *words]
        sys.path.insert(0, str(file.resolve().parent))
        main = ModuleType("__main__")
        main.__file__ = str(file)
        run_in(main, file.read_bytes(), str(file))


def run_in(main: ModuleType, code: str | bytes, file: str) -> None:
    """Run code in a module, which is the main one."""
    sys.modules["__main__"] = main
    exec(compile(code, file, "exec"), vars(main))
