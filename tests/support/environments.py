"""Which tests need modules of an environment of its own, as their markers or their file's text say.

A file whose every test needs a module that is not here is not imported: its tests, which are often hundreds of
parameters, would be collected by each worker to be left out.
"""

from __future__ import annotations

import re
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import pytest

MARKERS = ("sdk", "models", "servers", "drivers", "queues", "schemathesis", "deploy")
"""Markers of tests that need modules of an environment of their own."""
_MARKS_OF_FILE = re.compile(r"^pytestmark = .*?(?=^$|\Z)", re.MULTILINE | re.DOTALL)  # up to an empty line
_MARK = re.compile(rf"pytest\.mark\.(?:{'|'.join(MARKERS)})\(([^()]*)\)")
_MODULE = re.compile(r'"([\w.]+)"')


@cache
def is_missing(module: str) -> bool:
    """Return whether a module, or a package that it is in, is not here."""
    try:
        return find_spec(module) is None
    except ModuleNotFoundError:  # what it is in
        return True


def needed_modules(item: pytest.Item) -> list[str]:
    """Return the modules that a test needs of environments beside that of the development tools."""
    marks = [mark for name in MARKERS for mark in item.iter_markers(name)]
    return [module for mark in marks for module in mark.args]


def modules_of_file(file: Path) -> list[str]:
    """Return the modules of such environments that each test of a file needs."""
    marks = _MARKS_OF_FILE.search(file.read_text())
    return [] if marks is None else [module for args in _MARK.findall(marks[0]) for module in _MODULE.findall(args)]
