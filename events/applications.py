"""The names of applications, where there are several in one process: an event has those that it went through."""

from __future__ import annotations


def is_among(applications: str, application: str) -> bool:
    """Return whether a name is among several, as in ``shop/admin``; the empty one always is."""
    return not application or application in applications.split("/")
