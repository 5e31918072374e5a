"""The arguments of psycopg for a connection that is not of an engine's pool."""

from __future__ import annotations

from typing import Any

from sqlalchemy.engine import URL


def psycopg_options(url: URL, **defaults: Any) -> dict[str, Any]:
    """Return psycopg's arguments for a connection to the database of a URL.

    They are those that SQLAlchemy's dialect passes: libpq's own form of a URL differs, as in spaces, in ``+`` and in
    several hosts.

    Args:
        url: The URL, with the driver psycopg.
        defaults: The arguments that hold where the URL does not give them.
    """
    _, given = url.get_dialect()().create_connect_args(url)
    return {**defaults, **given}
