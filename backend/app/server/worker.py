"""One of several workers: ``python -m app.server.worker``, started by the supervisor, which says what to serve.

It ends when its standard input does, so none outlives its supervisor.
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
import sys
from collections.abc import Callable

from dotenv import load_dotenv

from app import logs
from app.llm.embedded.remote import RemoteEmbeddedServer
from app.server.sockets import StartupError
from app.server.uvicorn_server import serve
from app.settings import InvalidSettings, load_settings


def main() -> int:
    """Serve what the supervisor says, in one line of JSON on standard input; the answer is the exit code."""
    given = json.loads(sys.stdin.readline())
    try:
        settings = load_settings(given["arguments"])
        logs.configure(settings.log_level)
        load_dotenv(".env")
        listener = socket.socket(fileno=given["listener"])
        scraped = listener if given["scraped"] == given["listener"] else socket.socket(fileno=given["scraped"])
        model = RemoteEmbeddedServer(**given["model"]) if given["model"] else None

        def ready() -> None:
            os.write(given["ready"], b"\n")
            os.close(given["ready"])

        asyncio.run(serve(settings, listener, scraped, ready=ready, model=model, stops=stop_with_input))
    except (InvalidSettings, StartupError) as error:
        print(error, file=sys.stderr)  # noqa: T201 - what a person at a terminal reads
        return 1
    except (KeyboardInterrupt, asyncio.CancelledError):
        return 130  # told to stop before it had started
    return 0


def stop_with_input(stop: Callable[[], None]) -> None:
    """Call ``stop()`` when standard input ends: the supervisor is gone."""
    loop = asyncio.get_running_loop()

    def look() -> None:
        if not os.read(0, 1):
            loop.remove_reader(0)
            stop()

    loop.add_reader(0, look)


if __name__ == "__main__":
    sys.exit(main())
