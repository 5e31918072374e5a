"""One process that serves the studio on a port that is held already, until it is told to stop."""

from __future__ import annotations

import asyncio
import signal
import socket
from collections.abc import Callable, Generator
from contextlib import contextmanager

import uvicorn

from app.llm.embedded.remote import RemoteEmbeddedServer
from app.server.sockets import BACKLOG, StartupError
from app.settings import Settings

_REQUESTS_WITHIN = 3  # seconds for answers under way when the studio is told to stop


async def serve(
    settings: Settings,
    listener: socket.socket,
    scraped: socket.socket,
    *,
    ready: Callable[[], None],
    model: RemoteEmbeddedServer | None = None,
    stops: Callable[[Callable[[], None]], None] = lambda _: None,
) -> None:
    """Serve until a signal comes.

    Args:
        settings: The settings.
        listener: Where the studio is served.
        scraped: Where its metrics are, the same one or another.
        ready: Called when it serves.
        model: The embedded model's server, where the launcher has one for all its workers.
        stops: Is given the function that a signal calls, for who has another way to be told.

    Raises:
        StartupError: the database, the model or the workflow engine cannot be used.
    """
    # Here, not above: they take a second, and a taken port is told at once.
    from app.database import DatabaseUnavailable
    from app.llm.factory import ModelUnavailable
    from app.main import create_app, lifespan
    from app.workflows.service import WorkflowEngineUnavailable

    app = create_app(settings)
    app.state.metrics_listener = scraped
    app.state.lent_model = model
    server = _Server(
        uvicorn.Config(
            app,
            lifespan="off",  # entered here, where its failures are exceptions and not log lines
            log_config=None,
            timeout_graceful_shutdown=_REQUESTS_WITHIN,
            backlog=BACKLOG,
        ),
        ready=ready,
    )
    stop = server.stop_or(asyncio.current_task())
    stops(stop)
    with stop_on_signals(stop):
        try:
            async with lifespan(app):
                await server.serve(sockets=[listener])
        except (DatabaseUnavailable, ModelUnavailable, WorkflowEngineUnavailable) as error:
            raise StartupError(str(error)) from None


class _Server(uvicorn.Server):
    """uvicorn, except that signals are ours: it would raise them again before the studio has stopped."""

    def __init__(self, config: uvicorn.Config, ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._ready = ready

    @contextmanager
    def capture_signals(self) -> Generator[None]:
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self._ready()

    def stop_or(self, starting: asyncio.Task[None] | None) -> Callable[[], None]:
        """Make the answer to a signal: serve no more, or give up the start. A second one hurries open connections."""

        def stop() -> None:
            if self.started:
                self.force_exit = self.should_exit
                self.should_exit = True
            elif starting is not None:
                starting.cancel()

        return stop


@contextmanager
def stop_on_signals(stop: Callable[[], None]) -> Generator[None]:
    """Call ``stop()`` at Ctrl-C and at a service manager's signal while the block runs."""
    loop = asyncio.get_running_loop()
    signals = (signal.SIGINT, signal.SIGTERM)
    for number in signals:
        loop.add_signal_handler(number, stop)
    try:
        yield
    finally:
        for number in signals:
            loop.remove_signal_handler(number)
