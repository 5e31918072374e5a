"""``python -m tools.monitor``: run Prometheus and Alertmanager on a running server, with all rules loaded.

Alerts are printed as Alertmanager sends them. Everything ends with Ctrl-C.
"""

from __future__ import annotations

import argparse
import signal
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from http.server import ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from time import sleep
from types import FrameType

from metrics.diagnostics.scrape_client import Unreachable, scrape_url
from metrics.kit.webhook import Handler

from .configuration import alertmanager_config, prometheus_config
from .programs import INSTALL, Program, ProgramFailed, find_program

ADDRESS = "http://127.0.0.1:8000/metrics"


def main(arguments: Sequence[str] | None = None) -> int:
    """Monitor until it is interrupted; return the exit code: 2 where it cannot begin, 1 where a program ended."""
    options = parse(arguments)
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, interrupt)
    try:
        with ExitStack() as resources:
            programs = start(options, resources)
            while True:
                sleep(1)
                for program in programs:
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
    parser.add_argument("--port", type=int, default=9090, help="of Prometheus")
    parser.add_argument("--alertmanager-port", type=int, default=9093, help="of Alertmanager")
    parser.add_argument("--webhook-port", type=int, default=9095, help="of what prints the alerts")
    return parser.parse_args(arguments)


def interrupt(_number: int, _frame: FrameType | None) -> None:
    """End as with Ctrl-C."""
    raise KeyboardInterrupt


def start(options: argparse.Namespace, resources: ExitStack) -> list[Program]:
    """Start what is installed, print the addresses and return the programs.

    Raises:
        FileNotFoundError: Prometheus is not installed, or there is no file with the token.
        ValueError: the address is none.
        ProgramFailed: a program did not start.
    """
    prometheus, alertmanager = find_program("prometheus"), find_program("alertmanager")
    if prometheus is None:
        raise FileNotFoundError(f"prometheus is not installed: {INSTALL}")
    if options.token_file is not None and not options.token_file.is_file():
        raise FileNotFoundError(f"{options.token_file} is not there: it is to hold the token alone")
    folder = options.data or Path(resources.enter_context(tempfile.TemporaryDirectory(prefix="monitor-")))
    folder.mkdir(parents=True, exist_ok=True)
    config = folder / "prometheus.yml"
    config.write_text(
        prometheus_config(options.url, options.alertmanager_port if alertmanager else None, options.token_file)
    )
    programs = []
    if alertmanager:
        resources.enter_context(webhook(options.webhook_port))
        (folder / "alertmanager.yml").write_text(alertmanager_config(options.webhook_port))
        command = [
            alertmanager,
            f"--config.file={folder / 'alertmanager.yml'}",
            f"--storage.path={folder / 'alertmanager'}",
            "--cluster.listen-address=",
        ]
        program = Program("alertmanager", command, options.alertmanager_port, folder / "alertmanager.log")
        programs.append(resources.enter_context(program))
    command = [prometheus, f"--config.file={config}", f"--storage.tsdb.path={folder / 'prometheus'}"]
    programs.append(resources.enter_context(Program("prometheus", command, options.port, folder / "prometheus.log")))
    for line in addresses(options, has_alertmanager=alertmanager is not None):
        print(line, flush=True)
    return programs


@contextmanager
def webhook(port: int) -> Iterator[None]:
    """Run what prints the alerts that Alertmanager sends."""
    with ThreadingHTTPServer(("127.0.0.1", port), Handler) as server:
        thread = Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield
        server.shutdown()


def addresses(options: argparse.Namespace, *, has_alertmanager: bool) -> Iterator[str]:
    """Yield what to open, and what is missing."""
    prometheus = f"http://localhost:{options.port}"
    yield f"scraped       {options.url}"
    try:
        scrape_url(options.url, token_header(options.token_file))
    except Unreachable as reason:
        yield f"              nothing yet: {reason}"
        yield "              `make run` starts the studio; Prometheus tries again every few seconds"
    yield f"Prometheus    {prometheus}/graph"
    yield f"alerts        {prometheus}/alerts"
    if has_alertmanager:
        yield f"Alertmanager  http://localhost:{options.alertmanager_port}"
    else:
        yield f"Alertmanager is not installed, so alerts go nowhere: {INSTALL}"
    yield "dashboards    monitoring/compose.yml starts Grafana with them"
    yield "what fires is printed below; Ctrl-C ends it"


def token_header(file: Path | None) -> dict[str, str]:
    """Return the header with the token of a file."""
    return {"Authorization": f"Bearer {file.read_text().strip()}"} if file else {}


if __name__ == "__main__":
    sys.exit(main())
