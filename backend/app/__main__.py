"""Run the studio, or one of its commands: ``python -m app``, ``python -m app COMMAND``; ``--help`` lists both."""

from __future__ import annotations

import os
import sys

from app.commands import COMMANDS, USAGE_ERROR, describe_commands, describe_unknown, run_command
from app.server import launcher


def main(arguments: list[str]) -> int:
    """Run the command that comes first, or without one the studio, and return the exit code."""
    first = arguments[0] if arguments else "-"
    if first in COMMANDS:
        return run_command(first, arguments[1:])
    if not first.startswith("-"):
        print(describe_unknown(first), file=sys.stderr)
        return USAGE_ERROR
    try:
        return launcher.main(arguments, factory="app.main:create_app")
    finally:
        if {"-h", "--help"} & {*arguments}:  # the settings' own help, which is above, ends the program
            print(f"\n{describe_commands()}")


def run() -> int:
    """Run the command line in a process of its own; a reader that closes the pipe, as ``head`` does, is no error."""
    try:
        code = main(sys.argv[1:])
        sys.stdout.flush()
    except BrokenPipeError:
        # Python flushes once more at exit, which must not fail again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    return code


if __name__ == "__main__":
    sys.exit(run())
