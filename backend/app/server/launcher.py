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
from app.settings import WILDCARD_ADDRESSES, Settings, load_settings, unknown_settings

from .exit_codes import exit_code_of
from .model_check import validate_models
from .public_bind import validate_public_bind
from .sockets import Listeners, listen
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
    logs.configure(settings.log_level)
    for message in unknown_settings():
        log.warning("%s", message)
    load_dotenv(".env")  # the keys of model providers, whose libraries read them from the environment
    validate_worker_count(settings)
    validate_public_bind(settings)
    validate_models(settings)
    with ExitStack() as sockets:
        api = metrics = sockets.enter_context(listen(settings.host, settings.port))
        if settings.metrics_port is not None:
            metrics = sockets.enter_context(listen(settings.host, settings.metrics_port, "SPARKLIO_METRICS_PORT"))
        listeners = Listeners(api, metrics)
        log.info("starting on %s:%s", *api.getsockname()[:2])
        on_ready = partial(_print_addresses, settings, listeners)
        if settings.workers > 1:
            return asyncio.run(supervise(settings, arguments, factory, listeners, on_ready))
        asyncio.run(serve(settings, factory, listeners, on_ready=on_ready))
    return 0


def _print_addresses(settings: Settings, listeners: Listeners) -> None:
    host = "127.0.0.1" if settings.host in WILDCARD_ADDRESSES else settings.host
    name = f"[{host}]" if ":" in host else host
    base, metrics = (f"http://{name}:{listener.getsockname()[1]}" for listener in (listeners.api, listeners.metrics))
    print(f"Sparklio is ready at {base}")  # noqa: T201 - for the person at the terminal
    print(f"  API {base}/docs   metrics {metrics}/metrics   stop with Ctrl-C", flush=True)  # noqa: T201 - the same
