"""``python -m metrics``: print the catalogue, check it, write the operators' kit, or examine a running server.

Defaults come from the nearest ``pyproject.toml`` with a table ``[tool.sparklio.metrics]``, see
`metrics.diagnostics.project_config`.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping, Sequence

from .commands import (
    build_command,
    check_command,
    diff_command,
    doctor_command,
    explain_command,
    listing_command,
    replay_command,
    watch_command,
)
from .commands.command_context import Context, UsageError
from .commands.parser import parse_arguments
from .commands.working_folder import current_folder
from .diagnostics.catalogue_diff import ListingInvalid
from .diagnostics.explain import FamilyNotFound
from .diagnostics.otel import UnknownVersion
from .diagnostics.project_catalogue import CatalogueNotFound
from .diagnostics.project_config import ProjectConfigInvalid, find_project_config, importable
from .diagnostics.scrape_client import split_credentials
from .kit.own_alerts import AlertNameTaken

ON_A_SERVER = {"doctor": doctor_command.run, "watch": watch_command.run}
ON_A_CATALOGUE: Mapping[str, Callable[[Context], int]] = {
    "catalogue": listing_command.run,
    "groups": listing_command.run_groups,
    "check": check_command.run,
    "build": build_command.run,
    "explain": explain_command.run,
    "diff": diff_command.run,
    "replay": replay_command.run,
}
USAGE_ERRORS = (
    AlertNameTaken,
    UsageError,
    CatalogueNotFound,
    FamilyNotFound,
    ListingInvalid,
    ProjectConfigInvalid,
    UnknownVersion,
)
"""Faults of the command line or of the project's configuration; the message says how to mend them."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit code: 1 where something is wrong, 2 where the command cannot run."""
    options = parse_arguments(arguments)
    if run_on_server := ON_A_SERVER.get(options.command):
        url, credentials = split_credentials(options.url)
        return run_on_server(url, {**credentials, **dict(options.header)}, options)
    try:
        project = find_project_config(current_folder())
        with importable(project):
            return ON_A_CATALOGUE[options.command or "catalogue"](Context.of(options, project))
    except USAGE_ERRORS as error:
        print(f"python -m metrics: {error}", file=sys.stderr)
        return 2


def run() -> int:
    """Run the command line in a process of its own; a reader that closes the pipe, as ``head`` does, is no error."""
    try:
        code = main()
        sys.stdout.flush()
    except BrokenPipeError:
        # Python flushes once more at exit, which must not fail again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    return code


if __name__ == "__main__":
    sys.exit(run())
