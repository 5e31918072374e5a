"""The launcher, ``python -m app``: it binds the ports, then starts everything else, and prints where the studio is.

A second studio on a taken port has to end before it touches anything. uvicorn by itself would start the application,
which would resume the first one's runs, before it finds that it cannot listen.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import ExitStack
from functools import partial

from dotenv import load_dotenv

from app import logs
from app.settings_loading import export_native_histograms, load_settings, unknown_settings

from .announcements import Announcements
from .exit_codes import exit_code_of
from .model_check import validate_models
from .public_bind import validate_public_bind
from .sockets import Listeners, listen
from .stop_deadline import StopDeadline
from .supervisor import supervise, validate_worker_count
from .uvicorn_server import serve

log = logging.getLogger("app")


def main(arguments: list[str], factory: str) -> int:
    """Run the studio until it is stopped, and return the exit code.

    Args:
        arguments: The command line, without the program's name.
        factory: The import string of the application's factory.
    """
    return exit_code_of(partial(_run, arguments, factory))


def _run(arguments: list[str], factory: str) -> int:
    settings = load_settings(arguments)
    logs.configure(settings.log_level, show_process=settings.workers > 1)
    for message in unknown_settings():
        log.warning("%s", message)
    load_dotenv(".env")  # the keys of model providers, whose libraries read them from the environment
    export_native_histograms(settings)
    validate_worker_count(settings)
    validate_public_bind(settings)
    validate_models(settings)
    with ExitStack() as sockets:
        api = metrics = sockets.enter_context(listen(settings.host, settings.port))
        if settings.metrics_port is not None:
            metrics = sockets.enter_context(listen(settings.host, settings.metrics_port, "SPARKLIO_METRICS_PORT"))
        listeners = Listeners(api, metrics)
        announcements = Announcements(settings, listeners)
        announcements.starting()
        try:
            if settings.workers > 1:
                return asyncio.run(supervise(settings, arguments, factory, listeners, announcements))
            asyncio.run(
                serve(
                    settings,
                    factory,
                    listeners,
                    on_ready=announcements.ready,
                    on_signal=announcements.stopping,
                    on_stop=StopDeadline(settings.drain_time).begin,
                )
            )
        finally:
            announcements.stopped()
    return 0
