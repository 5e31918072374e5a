"""The names of applications, where there are several in one process: an event has those that it went through.

The class of an event that is of one application or another has a method ``is_of``, which takes the name of one, and in
``is_of_fields`` the names of the fields that the method reads: metrics ask it of events that are not built.
"""

from __future__ import annotations


def is_among(applications: str, application: str) -> bool:
    """Return whether a name is among several, as in ``shop/admin``; the empty one always is."""
    return not application or application in applications.split("/")
