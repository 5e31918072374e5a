"""The folder that the command line was started in."""

from __future__ import annotations

from pathlib import Path


def current_folder() -> Path:
    """Return the current folder, or the root where it was deleted."""
    try:
        return Path.cwd()
    except FileNotFoundError:
        return Path("/")
