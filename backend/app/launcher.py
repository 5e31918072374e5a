"""The launcher: takes the port first, then starts everything else, says where the studio is, and stops it cleanly.

A second studio on a taken port has to end before it touches anything: uvicorn by itself would start the application,
and with it resume the first one's runs, before it finds that it cannot listen.
"""

from __future__ import annotations

import asyncio
import logging
import signal
import socket
import sys
from collections.abc import Callable, Generator
from contextlib import ExitStack, contextmanager

import uvicorn
from dotenv import load_dotenv

from app import logs
from app.ports import BACKLOG, CannotStart, listening
from app.settings import Settings, SettingsInvalid, load_settings, unknown_settings

log = logging.getLogger("app")

_REQUESTS_WITHIN = 3  # seconds for answers under way when the studio is told to stop


def main(args: list[str]) -> int:
    """Run the studio until it is told to stop; the answer is the exit code."""
    try:
        settings = load_settings(args)
        logs.configure(settings.log_level)
        for complaint in unknown_settings():
            log.warning("%s", complaint)
        load_dotenv(".env")  # the keys of model providers, which their own libraries read from the environment
        with ExitStack() as ports:
            listener = ports.enter_context(listening(settings.host, settings.port))
            scraped = listener
            if settings.metrics_port is not None:
                own = listening(settings.host, settings.metrics_port, "SPARKLIO_METRICS_PORT")
                scraped = ports.enter_context(own)
            log.info("starting on %s:%s", *listener.getsockname()[:2])
            asyncio.run(_run(settings, listener, scraped))
    except (SettingsInvalid, CannotStart) as error:
        print(error, file=sys.stderr)  # noqa: T201 - what a person at a terminal reads
        return 1
    except (KeyboardInterrupt, asyncio.CancelledError):
        return 130  # told to stop before it had started
    return 0


async def _run(settings: Settings, listener: socket.socket, scraped: socket.socket) -> None:
    # Here, not above: they take a second, and a taken port is told at once.
    from app.database import DatabaseUnavailable
    from app.llm.models import ModelUnavailable
    from app.main import create_app, lifespan
    from app.workflows.studio import StudioUnavailable

    app = create_app(settings)
    app.state.metrics_listener = scraped
    server = _Server(
        uvicorn.Config(
            app,
            lifespan="off",  # entered here, where its failures are exceptions and not log lines
            log_config=None,
            timeout_graceful_shutdown=_REQUESTS_WITHIN,
            backlog=BACKLOG,
        ),
        ready=lambda: _say_ready(settings, listener, scraped),
    )
    with _told_to_stop(server.stop_or(asyncio.current_task())):
        try:
            async with lifespan(app):
                await server.serve(sockets=[listener])
        except (DatabaseUnavailable, ModelUnavailable, StudioUnavailable) as error:
            raise CannotStart(str(error)) from None


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
def _told_to_stop(stop: Callable[[], None]) -> Generator[None]:
    loop = asyncio.get_running_loop()
    signals = (signal.SIGINT, signal.SIGTERM)
    for number in signals:
        loop.add_signal_handler(number, stop)
    try:
        yield
    finally:
        for number in signals:
            loop.remove_signal_handler(number)


def _say_ready(settings: Settings, listener: socket.socket, scraped: socket.socket) -> None:
    host = "127.0.0.1" if settings.host in {"0.0.0.0", "::"} else settings.host  # noqa: S104 - compared, not bound
    name = f"[{host}]" if ":" in host else host
    base, metrics = (f"http://{name}:{held.getsockname()[1]}" for held in (listener, scraped))
    print(f"Sparklio is ready at {base}")  # noqa: T201 - what a person at a terminal waits for
    print(f"  API {base}/docs   metrics {metrics}/metrics   stop with Ctrl-C", flush=True)  # noqa: T201 - the same
