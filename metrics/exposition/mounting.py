"""Starlette's and FastAPI's mounts of an `Endpoint`, which answer their own path as well.

Starlette matches a mount only with a slash behind its path, and redirects ``/metrics`` to ``/metrics/``: two requests a
scrape, and none for a scraper that follows no redirects. Neither the mounted application nor a setting of the mount
changes that (https://github.com/Kludex/starlette/issues/869), so a mount that gets an `Endpoint` gets another `matches`
too; all others stay what they are. Where that fails, the redirect remains.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import wraps
from typing import Any

Matches = Callable[[Any], tuple[Any, Any]]
_PREPARED = "_answers_own_path_of"


def answer_own_path(application_class: type[Any]) -> None:
    """Have mounts of this class, which are made from now on, answer their own path without a slash at its end too.

    It does nothing where Starlette is not imported, and nothing the second time.
    """
    mount: Any = getattr(sys.modules.get("starlette.routing"), "Mount", None)
    if mount is None or getattr(mount, _PREPARED, None) is application_class:
        return
    initialize = mount.__init__

    @wraps(initialize)
    def init(self: Any, *args: Any, **options: Any) -> None:
        initialize(self, *args, **options)
        if isinstance(getattr(self, "app", None), application_class):
            self.matches = with_own_path(self.matches)

    mount.__init__ = init
    setattr(mount, _PREPARED, application_class)


def with_own_path(matches: Matches) -> Matches:
    """Return a mount's ``matches`` that also matches the path of the mount itself."""

    def matches_own_path(scope: Any) -> tuple[Any, Any]:
        found = matches(scope)
        if found[0].name != "NONE" or scope["type"] != "http" or scope["path"].endswith("/"):
            return found
        return matches({**scope, "path": scope["path"] + "/"})

    return matches_own_path
