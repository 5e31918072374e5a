"""The embedded model that all workers of a host share: one server, owned and watched by the supervisor."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from app.llm.embedded.process_usage import ProcessUsage
from app.llm.embedded.server import EmbeddedServer
from app.llm.model_errors import ModelNotInstalled, ModelUnavailable
from app.settings import Settings

from .startup_error import StartupError

log = logging.getLogger("app")

_CHECK_INTERVAL = 1.0  # seconds


async def start_shared_model(settings: Settings) -> EmbeddedServer | None:
    """Start the embedded model's server and return it; None if it is not wanted, or not installed.

    Without it each worker starts with a stand-in, which says what is missing.

    Raises:
        StartupError: The model cannot be loaded.
    """
    if not settings.executes_runs or "embedded" not in settings.models:
        return None
    log.info("loading the model (embedded)")
    server = EmbeddedServer()
    try:
        await asyncio.to_thread(server.start)
    except ModelNotInstalled:
        return None
    except ModelUnavailable as error:
        raise StartupError(str(error)) from None
    return server


async def watch_model(server: EmbeddedServer, report: Callable[[ProcessUsage], None]) -> None:
    """Restart the model's process whenever it has died, and report what it uses, until this task is cancelled."""
    while True:
        await asyncio.sleep(_CHECK_INTERVAL)
        try:
            await asyncio.to_thread(server.ensure_alive)
        except ModelUnavailable as error:
            log.warning("%s", error)
        report(server.read_usage())
