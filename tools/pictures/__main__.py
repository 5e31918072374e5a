"""``python -m tools.pictures``: draw each dashboard as a picture, from its JSON and what a real Prometheus answers.

Grafana's own panels draw in a headless Chromium. Without ``--prometheus`` a studio is led through the acts of
`tools.demo` under a Prometheus that scrapes it every five seconds, which takes as many minutes as are shown.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from time import time

from tests.support.ports import free_port
from tools.interrupt import end_on_signals
from tools.monitor import programs
from tools.monitor.configuration import prometheus_config
from tools.monitor.programs import ProgramFailed

from .answers import Asked, PrometheusError
from .browser import PAGE, DrawingError, browser, build_page, draw, packages, served

DASHBOARDS = Path("monitoring/grafana/dashboards")
PICTURES = Path("docs/dashboards")
MOST_BYTES = 300_000
COLOURS = (256, 128, 64, 32, 24)


def main(arguments: Sequence[str] | None = None) -> int:
    """Draw the dashboards and return the exit code: 1 where one cannot be drawn, 2 where something is not installed."""
    options = parse(arguments)
    end_on_signals()
    try:
        check_programs(options)
        build_page()
        with prometheus(options) as asked, browser() as chrome, served() as address:
            options.out.mkdir(parents=True, exist_ok=True)
            for name in options.dashboards:
                dashboard = json.loads((DASHBOARDS / f"{name}.json").read_text())
                picture = options.out / f"{name}.png"
                draw(chrome, address, dashboard, asked.answers(dashboard), picture)
                shrink(picture)
                print(f"{picture}  {picture.stat().st_size / 1000:.0f} kB", flush=True)
    except KeyboardInterrupt:
        return 130
    except FileNotFoundError as error:
        print(f"python -m tools.pictures: {error}", file=sys.stderr)
        return 2
    except (DrawingError, PrometheusError, ProgramFailed, subprocess.CalledProcessError) as error:
        print(f"python -m tools.pictures: {error}", file=sys.stderr)
        return 1
    return 0


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Return the options of a command line."""
    known = sorted(file.stem for file in DASHBOARDS.glob("*.json"))
    parser = argparse.ArgumentParser(
        prog="python -m tools.pictures", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("dashboards", nargs="*", metavar="NAME", help=f"of {', '.join(known)}; all without any")
    parser.add_argument("--minutes", type=float, default=10.0, help="how much time is shown (default: 10)")
    parser.add_argument("--prometheus", metavar="URL", help="show the last minutes of a running Prometheus")
    parser.add_argument("--out", type=Path, default=PICTURES, help=f"where pictures are written (default: {PICTURES})")
    options = parser.parse_args(arguments)
    if options.minutes <= 0:
        parser.error("--minutes has to be more than 0")
    if unknown := sorted(set(options.dashboards) - set(known)):
        parser.error(f"no dashboard is called {', '.join(unknown)}; they are: {', '.join(known)}")
    options.dashboards = options.dashboards or known
    return options


def check_programs(options: argparse.Namespace) -> None:
    """Do nothing where everything is installed.

    Raises:
        FileNotFoundError: something is not; the message says how to install it.
    """
    missing = [name for name in ("chromium", "chromedriver", "node") if not shutil.which(name)]
    if missing:
        raise FileNotFoundError(
            f"not installed: {', '.join(missing)} (apt install chromium chromium-driver nodejs npm)"
        )
    if not options.prometheus:
        programs.installed("prometheus")


@contextmanager
def prometheus(options: argparse.Namespace) -> Iterator[Asked]:
    """Yield the Prometheus to ask and the range of time: a running one's last minutes, or those of a demonstration."""
    if options.prometheus:
        end = time()
        yield Asked(options.prometheus.rstrip("/"), end - 60 * options.minutes, end)
        return
    studio, port = free_port(), free_port()
    with tempfile.TemporaryDirectory(prefix="pictures-") as name:
        folder = Path(name)
        (folder / "prometheus.yml").write_text(prometheus_config(f"http://localhost:{studio}/metrics"))
        with programs.prometheus(folder, port) as program:
            began = time()
            play_demo(options.minutes, studio)
            whole = Asked(program.url, began, time())
            yield Asked(program.url, began, whole.last_seen())


def play_demo(minutes: float, port: int) -> None:
    """Run the demonstration to its end.

    Raises:
        CalledProcessError: it has failed.
    """
    command = [sys.executable, "-m", "tools.demo", "--minutes", str(minutes), "--port", str(port)]
    demo = subprocess.Popen(command)  # noqa: S603 - its own
    try:
        code = demo.wait()
    finally:
        demo.terminate()  # where this is interrupted: `subprocess.run` would kill it, and its studio would go on
        demo.wait()
    if code:
        raise subprocess.CalledProcessError(code, command)


def shrink(picture: Path) -> None:
    """Write a picture anew with as many colours as keep it small."""
    for colours in COLOURS:
        smaller = picture.with_suffix(".small")
        command = ["node", str(PAGE / "shrink.cjs"), str(picture), str(smaller), str(colours)]
        subprocess.run(command, check=True, env={**os.environ, **packages()})  # noqa: S603 - its own
        if smaller.stat().st_size <= MOST_BYTES or colours == COLOURS[-1]:
            smaller.replace(picture)
            return


if __name__ == "__main__":
    sys.exit(main())
