"""Why a folder cannot hold this process's file, and what to do about it, in words."""

from __future__ import annotations

import errno
from pathlib import Path

COUNTS_ALONE = (
    "the folder for metrics %s cannot be used: %s. This process counts alone: no other one shows its numbers, nor it"
    " theirs. The folder is tried again every minute"
)
SHARED_AGAIN = "the folder for metrics %s can be used again: this process's numbers are shared"
SUBSCRIBED_TWICE = (
    "the folder for metrics %s: this process subscribed before it was forked, and again after that. What the first"
    " subscription counts is not shared from now on, so that nothing is counted twice: subscribe either before the fork"
    " or after it"
)

TRANSIENT = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EAGAIN, errno.EINTR})
"""Failures that say nothing of the folder: this process, or the machine, lacks something just now."""

_NO_SPACE = "free some space (each process takes 1.1 MB, and a file), or name a folder on another disk"
_NO_PERMISSION = "let this process's user write there, or name another folder"
_NO_FOLDER = "that is a file: name a folder, or remove the file"

FILES = (".worker", ".lock")
"""How the files end that are named beside their folder: those whose name stays the same."""

CURES = {
    errno.ENOSPC: _NO_SPACE,
    errno.EDQUOT: _NO_SPACE,
    errno.EACCES: _NO_PERMISSION,
    errno.EPERM: _NO_PERMISSION,
    errno.EROFS: "the disk is read-only: name a folder on another one",
    errno.EEXIST: _NO_FOLDER,
    errno.ENOTDIR: _NO_FOLDER,
    errno.EISDIR: "that is a folder: remove it",
    errno.ENOENT: "somebody has removed it or what was in it: create it again, and leave its files to the processes",
    errno.EMFILE: "raise the limit of open files (ulimit -n)",
    errno.ENFILE: "raise the machine's limit of open files",
    errno.EFBIG: "raise the limit of a file's size (ulimit -f)",
    errno.EIO: "leave its files to the processes, and see that the disk is in order",
}
"""What to do, by the number of the error."""


def describe_creation(error: OSError) -> str:
    """Return what is wrong with a folder that was never there, and what to do about it."""
    if error.errno != errno.ENOENT:
        return describe(error)
    return f"it cannot be created: {error.strerror}; name a folder in one that this process's user may write to"


def describe(error: OSError) -> str:
    """Return what is wrong with a folder, and what to do about it."""
    cure = CURES.get(error.errno or 0, "name a folder on a disk of this machine")
    path = error.filename2 or error.filename  # of a renaming, the file that could not be replaced
    is_named = error.errno != errno.ENOENT and isinstance(path, str) and path.endswith(FILES)
    file = f"{Path(path).name}: " if is_named else ""
    return f"{file}{error.strerror or type(error).__name__}; {cure}"
