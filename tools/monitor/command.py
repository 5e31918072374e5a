"""``python -m tools.monitor``: run Prometheus and Alertmanager on a running server, with all rules loaded.

Alerts are printed as Alertmanager sends them. Everything ends with Ctrl-C.
"""

from __future__ import annotations

import argparse
import socket
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from http.server import ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from time import sleep

from metrics.diagnostics.scrape_client import Unreachable, scrape_url
from metrics.kit.webhook import Handler
from tools.interrupt import end_on_signals

from . import programs
from .configuration import Server, alertmanager_config, prometheus_config
from .programs import INSTALL, Program, ProgramFailed

ADDRESS = "http://127.0.0.1:8000/metrics"


def main(arguments: Sequence[str] | None = None) -> int:
    """Monitor until it is interrupted; return the exit code: 2 where it cannot begin, 1 where a program ended."""
    options = parse(arguments)
    end_on_signals()
    try:
        with ExitStack() as resources:
            started = start(options, resources)
            while True:
                sleep(1)
                for program in started:
                    program.check()
    except KeyboardInterrupt:
        return 0
    except (ValueError, FileNotFoundError) as error:
        print(f"python -m tools.monitor: {error}", file=sys.stderr)
        return 2
    except (ProgramFailed, OSError) as error:
        print(f"python -m tools.monitor: {error}", file=sys.stderr)
        return 1


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Return the options of a command line."""
    parser = argparse.ArgumentParser(
        prog="python -m tools.monitor", description=main.__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument("url", nargs="?", default=ADDRESS, help="where the server's metrics are")
    parser.add_argument("--token-file", type=Path, metavar="FILE", help="the token that the server asks for")
    parser.add_argument("--data", type=Path, metavar="DIR", help="keep what was scraped, else it is gone at the end")
    parser.add_argument("--port", type=port_number, default=9090, help="of Prometheus")
    parser.add_argument("--alertmanager-port", type=port_number, default=9093, help="of Alertmanager")
    parser.add_argument("--webhook-port", type=port_number, default=9095, help="of what prints the alerts")
    return parser.parse_args(arguments)


def port_number(text: str) -> int:
    """Return a number that a port can have."""
    if text.isdecimal() and 0 < int(text) < 65536:
        return int(text)
    raise argparse.ArgumentTypeError(f"{text!r} is no port: give a number from 1 to 65535")


def start(options: argparse.Namespace, resources: ExitStack) -> list[Program]:
    """Start what is installed, print the addresses and return the programs.

    Raises:
        FileNotFoundError: Prometheus is not installed.
        ValueError: the address is none, a port is taken, or there is no token in its file.
        ProgramFailed: a program did not start.
    """
    programs.installed("prometheus")
    has_alertmanager = programs.find_program("alertmanager") is not None
    token = read_token(options.token_file)
    text = prometheus_config(options.url, options.alertmanager_port if has_alertmanager else None, options.token_file)
    check_ports(options, has_alertmanager=has_alertmanager)
    folder = options.data or Path(resources.enter_context(tempfile.TemporaryDirectory(prefix="monitor-")))
    folder.mkdir(parents=True, exist_ok=True)
    config = folder / "prometheus.yml"
    config.touch(mode=0o600)
    config.chmod(0o600)  # it may have a password
    config.write_text(text, "utf-8")
    started = []
    if has_alertmanager:
        resources.enter_context(webhook(options.webhook_port))
        (folder / "alertmanager.yml").write_text(alertmanager_config(options.webhook_port))
        started.append(resources.enter_context(programs.alertmanager(folder, options.alertmanager_port)))
    started.append(resources.enter_context(programs.prometheus(folder, options.port)))
    for line in addresses(options, token, has_alertmanager=has_alertmanager):
        print(line, flush=True)
    return started


@contextmanager
def webhook(port: int) -> Iterator[None]:
    """Run what prints the alerts that Alertmanager sends."""
    with ThreadingHTTPServer(("127.0.0.1", port), Handler) as server:
        thread = Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield
        finally:
            server.shutdown()  # else its thread would look at a closed socket again and again


def addresses(options: argparse.Namespace, token: Mapping[str, str], *, has_alertmanager: bool) -> Iterator[str]:
    """Yield what to open, and what is missing; ``token`` is the header that the server asks for."""
    server = Server.of(options.url)
    prometheus = f"http://localhost:{options.port}"
    yield f"scraped       {server.shown}"
    try:
        scrape_url(server.without_login, {**server.headers, **token})
    except Unreachable as reason:
        yield f"              nothing yet: {str(reason).replace(server.without_login, server.shown)}"
        yield "              `make run` starts the studio; Prometheus tries again every few seconds"
    yield f"Prometheus    {prometheus}/graph"
    yield f"alerts        {prometheus}/alerts"
    if has_alertmanager:
        yield f"Alertmanager  http://localhost:{options.alertmanager_port}"
    else:
        yield f"Alertmanager is not installed, so alerts go nowhere: {INSTALL}"
    yield "dashboards    monitoring/compose.yml starts Grafana with them"
    yield "what fires is printed below; Ctrl-C ends it"


def read_token(file: Path | None) -> dict[str, str]:
    """Return the header with the token of a file, none without one.

    Raises:
        ValueError: the file cannot be read, or is empty.
    """
    if file is None:
        return {}
    try:
        token = file.read_text("utf-8").strip()
    except FileNotFoundError:
        raise ValueError(f"--token-file {file} is not there: it is to hold the token alone") from None
    except (OSError, UnicodeDecodeError) as error:
        reason = (getattr(error, "strerror", None) or "not text").lower()
        raise ValueError(f"--token-file {file} cannot be read ({reason}): it is to hold the token alone") from None
    if not token:
        raise ValueError(f"--token-file {file} is empty: it is to hold the token alone")
    return {"Authorization": f"Bearer {token}"}


def check_ports(options: argparse.Namespace, *, has_alertmanager: bool) -> None:
    """Check that all ports are free, before anything is started.

    Raises:
        ValueError: one is taken; the message names the option that gives another.
    """
    ports = {"--port": ("Prometheus", options.port)}
    if has_alertmanager:
        ports["--alertmanager-port"] = ("Alertmanager", options.alertmanager_port)
        ports["--webhook-port"] = ("what prints the alerts", options.webhook_port)
    with ExitStack() as tried:
        for option, (whose, port) in ports.items():
            listener = tried.enter_context(socket.socket())
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as servers do: one that ended is no matter
            try:
                listener.bind(("127.0.0.1", port))
                listener.listen()  # two that have not begun to listen could share a port
            except OSError as error:
                reason = (error.strerror or "it cannot be used").lower()
                raise ValueError(
                    f"port {port}, of {whose}: {reason}; end what listens there, or give another port by {option}"
                ) from None
