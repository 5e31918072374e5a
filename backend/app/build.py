"""The build of the studio that runs: its version, and the commit that it was built from."""

from __future__ import annotations

import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from events import build_read

PACKAGE = "sparklio"
SOURCE = Path(__file__).parents[2]
_GIT_TIMEOUT = 5.0  # seconds


def emit_build(revision: str | None, source: Path = SOURCE) -> None:
    """Emit the build that runs; it blocks, so call it in a thread.

    Args:
        revision: The commit, as whoever built it says; None to ask git, where the studio runs from its repository.
        source: The directory that is the repository then.
    """
    build_read.emit(version=package_version(), revision=revision or checked_out_revision(source) or "unknown")


def package_version() -> str:
    """Return the version of the installed package, ``unknown`` where it is not installed."""
    try:
        return version(PACKAGE)
    except PackageNotFoundError:
        return "unknown"


def checked_out_revision(source: Path) -> str | None:
    """Return the first twelve digits of the commit that a directory has checked out; None if it is no repository.

    A repository around it is another one's: that of the project whose environment the studio is installed in.
    """
    if not (source / ".git").exists():
        return None
    command = ["git", "-C", str(source), "rev-parse", "--short=12", "HEAD"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_GIT_TIMEOUT, check=True)  # noqa: S603 - no input
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip() or None
