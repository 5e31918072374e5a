"""Processor time of a studio that does nothing, on SQLite and on PostgreSQL, as `make run` starts it."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from time import monotonic, sleep
from urllib.request import urlopen

from tests.support.ports import free_port
from tests.support.postgresql import postgresql_server
from tests.support.processes import tree_usage

from .measurement import Claim

PYTHON = Path(".venv/bin/python").absolute()
"""The studio has an environment of its own, which `make bench` sets up too."""

BAR = 1.0  # percent of a core
START_LIMIT = 300.0  # seconds


def measure(short: bool) -> list[Claim]:
    """Start both studios, let them come to rest, and measure several windows of both at the same time."""
    with ExitStack() as resources:
        url = resources.enter_context(postgresql_server()).set(drivername="postgresql")
        urls = {"SQLite": "", "PostgreSQL": url.render_as_string(hide_password=False)}
        studios = {name: resources.enter_context(running_studio(url)) for name, url in urls.items()}
        # In its first minute the workflow engine looks for schedules more often.
        sleep(12 if short else 65)
        shares: dict[str, list[float]] = {name: [] for name in studios}
        for _ in range(3 if short else 6):
            before = {name: cpu_of(pid) for name, (pid, _) in studios.items()}
            began = monotonic()
            sleep(4 if short else 10)
            for name, (pid, _) in studios.items():
                shares[name].append(100 * (cpu_of(pid) - before[name]) / (monotonic() - began))
    return [
        Claim(
            what=f"processor time of an idle studio on {name}",
            bar=BAR,
            better="lower",
            unit="% of a core",
            ours=[min(shares[name])] if short else shares[name],  # CI may be busy: it would be five times as much
            runs={"processor time until /health is first answered with 200, s": [started]},
            note="`make run`, one worker, with the embedded model, all processes together",
        )
        for name, (_, started) in studios.items()
    ]


@contextmanager
def running_studio(database_url: str) -> Iterator[tuple[int, float]]:
    """Run a studio while the block runs; yield its process id, and the processor seconds of its start."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("SPARKLIO_")}
    port = free_port()
    environment |= {"SPARKLIO_PORT": str(port), "PYTHONPATH": os.pathsep.join(map(os.path.abspath, ("backend", ".")))}
    if database_url:
        environment["SPARKLIO_DATABASE_URL"] = database_url
    with tempfile.TemporaryDirectory(prefix="idle-studio-") as directory:
        began = monotonic()
        process = subprocess.Popen(
            [PYTHON, "-m", "app"], cwd=directory, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        try:
            while not is_healthy(port):
                if process.poll() is not None or monotonic() - began > START_LIMIT:
                    raise RuntimeError(f"the studio did not start (exit code {process.poll()}): {PYTHON} -m app")
                sleep(0.02)
            yield process.pid, cpu_of(process.pid)
        finally:
            process.terminate()
            process.wait(30)


def is_healthy(port: int) -> bool:
    """Return whether a studio's health check is passed."""
    try:
        with urlopen(f"http://127.0.0.1:{port}/health", timeout=5) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def cpu_of(pid: int) -> float:
    """Return the processor seconds of a process and its descendants."""
    return sum(usage.cpu for usage in tree_usage(pid))
