"""The listeners: they take the events elsewhere, and nobody who emits knows of them.

Each has a module, with a function that connects it for as long as a block runs. None can hurt who emits: what takes
time is done in the background, and what there is no room for is dropped and counted, as `events.listener_delivered`.
"""

from __future__ import annotations

from contextlib import AsyncExitStack

from app.database import Database
from app.listener_settings import parse_signals
from app.settings import Settings

from . import audit_trail, live_feed, tracing
from .live_feed import LiveFeed

__all__ = ["start_listeners"]


async def start_listeners(
    settings: Settings,
    database: Database,
    resources: AsyncExitStack,
) -> LiveFeed | None:
    """Connect the listeners that the settings switch on, until the resources are closed: the last one first.

    Args:
        settings: The settings.
        database: The database, upgraded.
        resources: What is closed when the process stops, after the workflows.

    Returns:
        The live feed; None where it is switched off.
    """
    if settings.audit_days:
        await resources.enter_async_context(audit_trail.listen(database, settings.audit_days))
    # Some are imported late, for the sake of their libraries, which most studios do not need.
    if settings.event_log is not None:
        from . import json_log

        await resources.enter_async_context(json_log.listen(settings.event_log))
    if settings.webhook_url is not None:
        from . import webhook

        await resources.enter_async_context(
            webhook.listen(settings.webhook_url, settings.webhook_secret or "", parse_signals(settings.webhook_signals))
        )
    if settings.traces:
        resources.enter_context(tracing.listen())
    return await resources.enter_async_context(live_feed.listen(settings)) if settings.live else None
