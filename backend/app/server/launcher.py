"""The launcher: takes the port first, then starts everything else, says where the studio is, and stops it cleanly.

A second studio on a taken port has to end before it touches anything: uvicorn by itself would start the application,
and with it resume the first one's runs, before it finds that it cannot listen.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import sys
from contextlib import ExitStack
from functools import partial

from dotenv import load_dotenv

from app import logs
from app.server.sockets import StartupError, listening
from app.server.supervisor import refuse, supervise
from app.server.uvicorn_server import serve
from app.settings import InvalidSettings, Settings, load_settings, unknown_settings

log = logging.getLogger("app")


def main(args: list[str]) -> int:
    """Run the studio until it is told to stop; the answer is the exit code."""
    try:
        settings = load_settings(args)
        logs.configure(settings.log_level)
        for complaint in unknown_settings():
            log.warning("%s", complaint)
        load_dotenv(".env")  # the keys of model providers, which their own libraries read from the environment
        refuse(settings)
        with ExitStack() as ports:
            listener = ports.enter_context(listening(settings.host, settings.port))
            scraped = listener
            if settings.metrics_port is not None:
                own = listening(settings.host, settings.metrics_port, "SPARKLIO_METRICS_PORT")
                scraped = ports.enter_context(own)
            log.info("starting on %s:%s", *listener.getsockname()[:2])
            ready = partial(_say_ready, settings, listener, scraped)
            if settings.workers > 1:
                return asyncio.run(supervise(settings, args, listener, scraped, ready))
            asyncio.run(serve(settings, listener, scraped, ready=ready))
    except (InvalidSettings, StartupError) as error:
        print(error, file=sys.stderr)  # noqa: T201 - what a person at a terminal reads
        return 1
    except (KeyboardInterrupt, asyncio.CancelledError):
        return 130  # told to stop before it had started
    return 0


def _say_ready(settings: Settings, listener: socket.socket, scraped: socket.socket) -> None:
    host = "127.0.0.1" if settings.host in {"0.0.0.0", "::"} else settings.host  # noqa: S104 - compared, not bound
    name = f"[{host}]" if ":" in host else host
    base, metrics = (f"http://{name}:{held.getsockname()[1]}" for held in (listener, scraped))
    print(f"Sparklio is ready at {base}")  # noqa: T201 - what a person at a terminal waits for
    print(f"  API {base}/docs   metrics {metrics}/metrics   stop with Ctrl-C", flush=True)  # noqa: T201 - the same
