"""One of several workers: ``python -m app.server.worker``, started by the supervisor.

It stops when its standard input ends, so that none outlives its supervisor.
"""

from __future__ import annotations

import asyncio
import os
import sys

from dotenv import load_dotenv

from app import logs
from app.settings_loading import load_settings

from .connection_limit import Listener
from .exit_codes import exit_code_of
from .model_usage import UsageLines
from .sockets import Listeners
from .stop_deadline import StopDeadline
from .uvicorn_server import Stop, serve
from .worker_options import WorkerOptions


def main() -> int:
    """Serve with the options that are read from standard input, and return the exit code."""
    options = WorkerOptions.from_json(sys.stdin.readline())
    return exit_code_of(lambda: _run(options))


def _run(options: WorkerOptions) -> int:
    settings = load_settings(options.arguments)
    logs.configure(settings.log_level, show_process=True)
    load_dotenv(".env")
    api = metrics = Listener(fileno=options.listener_fd)
    if options.metrics_listener_fd != options.listener_fd:
        metrics = Listener(fileno=options.metrics_listener_fd)

    def report_ready() -> None:
        os.write(options.ready_fd, b"\n")
        os.close(options.ready_fd)

    asyncio.run(
        serve(
            settings,
            options.factory,
            Listeners(api, metrics),
            on_ready=report_ready,
            on_stop=StopDeadline(settings.drain_time).begin,
            model_server=options.model_server,
            add_stop_source=listen_to_supervisor,
        )
    )
    return 0


def listen_to_supervisor(stop: Stop) -> None:
    """Emit what it writes of the model's process; call ``stop()`` when standard input ends: the supervisor is dead."""
    loop = asyncio.get_running_loop()
    usage = UsageLines()

    def read() -> None:
        if piece := os.read(0, 4096):
            usage.feed(piece)
        else:
            loop.remove_reader(0)
            stop()

    loop.add_reader(0, read)


if __name__ == "__main__":
    sys.exit(main())
