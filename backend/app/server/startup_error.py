"""The error of a studio that cannot start."""

from __future__ import annotations


class StartupError(Exception):
    """The studio cannot start; the message names the thing, the value and what to do, in one line."""
