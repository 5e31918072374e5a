"""The arguments of the middleware, refused where they are given: a framework makes its middlewares as it starts."""

from __future__ import annotations

from collections.abc import Iterable

NO_PATH = frozenset("{}*^\\|?")
"""What templates, patterns and queries have, and the paths of requests have not, or encoded."""


def excluded_paths(exclude: Iterable[str]) -> frozenset[str]:
    """Return the paths to exclude, each with and without a slash at its end.

    Raises:
        TypeError: It is one path, no iterable, or has something else than texts.
        ValueError: One of them begins with no slash, or is a template or a pattern.
    """
    if isinstance(exclude, (str, bytes)):
        raise TypeError(f"exclude takes several paths: write exclude=({exclude!r},)")
    if not isinstance(exclude, Iterable):
        raise TypeError(f"exclude takes several paths, as in exclude=('/health',), or () for none, not {exclude!r:.60}")
    paths = tuple(exclude)
    for path in paths:
        if not isinstance(path, str):
            raise TypeError(f"exclude takes paths, such as '/health', not {path!r:.60}")
        if not path.startswith("/"):
            raise ValueError(
                f"exclude: {path!r} is no path of a request, which begins with a slash: write {f'/{path}'!r}"
            )
        if not NO_PATH.isdisjoint(path):
            raise ValueError(
                f"exclude: {path!r} is no path of a request: each is meant exactly, as '/health' is, so name the paths"
                " themselves, not a template or a pattern"
            )
    return frozenset(each for path in paths for each in (path.rstrip("/"), path.rstrip("/") + "/"))


def check_application_name(application: str) -> None:
    """Raise an error for what is no name of an application.

    Raises:
        TypeError: It is no text.
        ValueError: It has a slash.
    """
    if not isinstance(application, str):
        raise TypeError(f"application is a name, such as 'shop', or '' for none, not {application!r:.60}")
    if "/" in application:
        raise ValueError(f"an application's name takes no slash, got {application!r}: write 'admin', not a path")
