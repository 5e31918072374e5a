"""The supervisor of several workers: it starts them with what they share, and stops them.

They share the ports, a directory for their metrics, and the server of the embedded model, one a host. Each worker takes
a DBOS executor id of its own. The worker that replaces a dead one takes over its id, and with it its runs.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import ExitStack

from app.llm.embedded.remote import RemoteEmbeddedServer
from app.settings import Settings

from .metrics_dir import temporary_metrics_dir
from .shared_model import keep_model_alive, start_shared_model
from .sockets import Listeners
from .startup_error import StartupError
from .uvicorn_server import stop_on_signals
from .worker_processes import WorkerConfig, WorkerProcesses


def validate_worker_count(settings: Settings) -> None:
    """Check that the database lets several workers write.

    Raises:
        StartupError: Several workers are wanted and the database is a SQLite file.
    """
    if settings.workers > 1 and settings.sqlite_file is not None:
        raise StartupError(
            f"SPARKLIO_WORKERS = {settings.workers} needs PostgreSQL: SQLite ({settings.sqlite_file}) lets one process"
            " write at a time; set SPARKLIO_DATABASE_URL=postgresql://user:password@host/name, or SPARKLIO_WORKERS=1."
        )


async def supervise(
    settings: Settings,
    arguments: Sequence[str],
    factory: str,
    listeners: Listeners,
    on_ready: Callable[[], None],
) -> int:
    """Run the workers until a signal comes, and return the exit code.

    Args:
        settings: The settings.
        arguments: The command line, which each worker reads its settings from.
        factory: The import string of the application's factory.
        listeners: The listening sockets, which the workers inherit.
        on_ready: Is called once all workers accept requests.

    Raises:
        StartupError: The embedded model cannot be loaded.
    """
    with ExitStack() as resources:
        metrics_dir = settings.metrics_dir or resources.enter_context(temporary_metrics_dir())
        server = await start_shared_model(settings)
        if server is not None:
            resources.callback(server.stop)
        workers = WorkerProcesses(
            WorkerConfig(
                arguments=arguments,
                factory=factory,
                listeners=listeners,
                metrics_dir=metrics_dir,
                model_server=None if server is None else RemoteEmbeddedServer(server.address, server.key),
            )
        )
        with stop_on_signals(workers.stop):
            watching = asyncio.create_task(keep_model_alive(server)) if server is not None else None
            try:
                return await workers.run(settings.workers, on_ready)
            finally:
                if watching is not None:
                    watching.cancel()
