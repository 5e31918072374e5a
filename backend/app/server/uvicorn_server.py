"""uvicorn in one process: it serves the studio on sockets that are listening already, until a signal stops it."""

from __future__ import annotations

import asyncio
import pkgutil
import signal
import socket
from collections.abc import Callable, Generator
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Protocol, cast

import uvicorn

from app.llm.embedded.remote import RemoteEmbeddedServer
from app.settings import Settings

from .limited_server import LimitedServer
from .sockets import BACKLOG, Listeners
from .start_garbage import collecting_no_garbage

if TYPE_CHECKING:
    from fastapi import FastAPI  # it takes a second to import, and a taken port is to be reported at once

_SHUTDOWN_TIMEOUT = 3  # seconds for requests in progress when the studio stops

Stop = Callable[[], None]


class AppFactory(Protocol):
    """The factory of the application, such as ``app.main:create_app``."""

    def __call__(
        self,
        settings: Settings,
        *,
        metrics_listener: socket.socket | None = None,
        model_server: RemoteEmbeddedServer | None = None,
    ) -> FastAPI:
        """Return the application; its lifespan starts and stops all that it needs."""


async def serve(
    settings: Settings,
    factory: str,
    listeners: Listeners,
    *,
    on_ready: Callable[[], None],
    on_signal: Callable[[], None] = lambda: None,
    on_stop: Callable[[], None] = lambda: None,
    model_server: RemoteEmbeddedServer | None = None,
    add_stop_source: Callable[[Stop], None] = lambda _: None,
) -> None:
    """Serve the application until SIGINT or SIGTERM.

    Args:
        settings: The settings.
        factory: The import string of the application's factory (`AppFactory`), imported here.
        listeners: The listening sockets.
        on_ready: Is called once requests are accepted.
        on_signal: Is called at each signal, before it stops anything.
        on_stop: Is called each time that something, a signal or another reason, stops the server or its start.
        model_server: The server of the embedded model, if the supervisor has one for all workers.
        add_stop_source: Receives the function that a signal calls, to call it for other reasons as well.

    Raises:
        StartupError: The database, the model or the workflow engine cannot be used.
    """
    with collecting_no_garbage():
        create_app = cast("AppFactory", pkgutil.resolve_name(factory))
        app = create_app(settings, metrics_listener=listeners.metrics, model_server=model_server)
    server = _Server(
        uvicorn.Config(
            app,
            lifespan="off",  # it is entered below, where its errors are exceptions instead of log lines
            log_config=None,
            http="h11",
            timeout_graceful_shutdown=_SHUTDOWN_TIMEOUT,
            backlog=BACKLOG,
        ),
        settings,
        on_ready=on_ready,
        on_drain=partial(setattr, app.state, "draining", True),
    )

    def begin_stop() -> None:
        on_stop()
        if (feed := getattr(app.state, "live_feed", None)) is not None:
            feed.close()  # its streams have no end of their own, and would hold up the drain

    stop = server.stopper(asyncio.current_task(), begin_stop)
    add_stop_source(stop)
    with stop_on_signals(stop, on_signal):
        async with app.router.lifespan_context(app):
            await server.serve(sockets=[listeners.api])


class _Server(LimitedServer):
    """The server of the studio."""

    def __init__(
        self, config: uvicorn.Config, settings: Settings, *, on_ready: Callable[[], None], on_drain: Callable[[], None]
    ) -> None:
        super().__init__(config, settings)
        self._on_ready = on_ready
        self._on_drain = on_drain
        self._drain_time = settings.drain_time
        self._is_draining = False

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self._on_ready()

    def stopper(self, start_task: asyncio.Task[None] | None, on_stop: Callable[[], None]) -> Stop:
        """Return a function that stops the server, or its start.

        The server goes on for the drain time, in which its health check answers 503, so that load balancers send no
        more. A second call ends that, and one more closes open connections at once.
        """

        def close() -> None:
            self.should_exit = True

        def stop() -> None:
            on_stop()
            if self.started and self._drain_time and not self._is_draining:
                self._is_draining = True
                self._on_drain()
                asyncio.get_running_loop().call_later(self._drain_time, close)
            elif self.started:
                self.force_exit = self.should_exit
                self.should_exit = True
            elif start_task is not None:
                start_task.cancel()

        return stop


@contextmanager
def stop_on_signals(stop: Stop, on_signal: Callable[[], None] = lambda: None) -> Generator[None]:
    """Call ``on_signal()`` and ``stop()`` on SIGINT (Ctrl-C) and SIGTERM (a service manager's) while the block runs."""

    def receive() -> None:
        on_signal()
        stop()

    loop = asyncio.get_running_loop()
    signals = (signal.SIGINT, signal.SIGTERM)
    for number in signals:
        loop.add_signal_handler(number, receive)
    try:
        yield
    finally:
        for number in signals:
            loop.remove_signal_handler(number)
