"""``python -m tools.command_reference``: print what `--help` says, for docs/command-line.md."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout, suppress
from importlib import import_module
from io import StringIO

from metrics.commands.parser import build_parser
from tools.public_names import ROOT
from tools.wheel.renaming import Renaming
from tools.wheel.staging import FOLDERS, PACKAGE

STUDIO = ("record", "reconcile")
"""Commands of `python -m app`; without one it starts the studio, whose options are its settings."""


def main() -> None:
    """Print the reference."""
    print("\n".join(reference()))


def reference() -> Iterator[str]:
    """Yield the lines of the reference: each command with its help, the library's as it is installed."""
    with columns(100):
        yield from describe_commands()


def describe_commands() -> Iterator[str]:
    """Yield the lines of each command in turn."""
    renaming = Renaming.of(PACKAGE, [ROOT / folder for folder in FOLDERS])
    help_text = help_of()
    yield from map(renaming.prose, section("python -m metrics", help_text))
    for name in re.findall(r"^    (\w+) ", help_text.partition("positional arguments")[2], re.MULTILINE):
        yield from map(renaming.prose, section(f"python -m metrics {name}", help_of(name)))
    for name in STUDIO:
        yield from section(f"python -m app {name}", import_module(f"app.commands.{name}").build_parser().format_help())


@contextmanager
def columns(number: int) -> Iterator[None]:
    """Have help be as wide while the block runs."""
    before = os.environ.get("COLUMNS")
    os.environ["COLUMNS"] = str(number)
    try:
        yield
    finally:
        if before is None:
            del os.environ["COLUMNS"]
        else:
            os.environ["COLUMNS"] = before


def help_of(*command: str) -> str:
    """Return what a command of `python -m metrics` prints for `--help`."""
    printed = StringIO()
    with redirect_stdout(printed), suppress(SystemExit):
        build_parser().parse_args([*command, "--help"])
    return printed.getvalue()


def section(command: str, help_text: str) -> Iterator[str]:
    """Yield the lines of a command."""
    yield from ("", f"## {command}", "", "```text", *help_text.rstrip().splitlines(), "```")


if __name__ == "__main__":
    main()
