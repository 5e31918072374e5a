"""The check of a project's catalogue, as ``python -m metrics check`` does it without options."""

from __future__ import annotations

import argparse
from pathlib import Path

from ..commands.check_command import report_check
from ..commands.command_context import Context, UsageError
from ..diagnostics.project_catalogue import CatalogueNotFound
from ..diagnostics.project_config import ProjectConfigInvalid, find_project_config, importable


def check_project(folder: Path) -> tuple[bool, str]:
    """Return whether a project's rows and signals pass, and what the command prints.

    Args:
        folder: Where the ``pyproject.toml`` is looked for, and upwards.
    """
    try:
        project = find_project_config(folder)
        with importable(project):
            report = report_check(Context.of(argparse.Namespace(), project))
    except (UsageError, CatalogueNotFound, ProjectConfigInvalid) as error:
        return False, str(error)
    return report.passed, report.text
