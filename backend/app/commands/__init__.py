"""The commands of ``python -m app`` beside the studio itself: a module each.

It has ``build_parser()``, which returns the parser of its command line, and ``run(arguments)``, which returns its exit
code. It is imported when it is called, so that the start of the studio does not wait for what it needs.
"""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches
from importlib import import_module

# fmt: off
COMMANDS: Mapping[str, str] = {
    "reconcile": "compare the audit trail with the counters of a running studio and with the rows of its runs",
    "record": "keep the events of a running studio in a file, until Ctrl-C; python -m metrics replay plays it",
}
# fmt: on
"""What each command does, by its name, which is that of its module."""

USAGE_ERROR = 2
"""The exit code of a command line that cannot be run."""


def run_command(name: str, arguments: list[str]) -> int:
    """Run a command with its arguments and return the exit code."""
    code: int = import_module(f"{__name__}.{name}").run(arguments)
    return code


def describe_commands() -> str:
    """Return the lines that ``--help`` adds to the list of settings."""
    width = max(map(len, COMMANDS), default=0)
    lines = [f"  {name:<{width}}  {purpose}" for name, purpose in COMMANDS.items()]
    return "\n".join(["commands, in place of the studio:", *lines, "  python -m app COMMAND --help says more"])


def describe_unknown(name: str) -> str:
    """Return the message about a command that does not exist."""
    alike = get_close_matches(name, COMMANDS, n=1)
    advice = f"did you mean {alike[0]}?" if alike else f"there are {', '.join(COMMANDS)}; settings begin with --."
    return f"{name} is no command of python -m app; {advice}"
