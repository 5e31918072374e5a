"""A host that counts orders and serves them: ``python -m tests.support.counting_host PORT [FOLDER]``.

Each line of its input is a number of orders; it counts them and prints how many there were.
"""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from prometheus_client import CollectorRegistry

from events import Label, Signal
from metrics import Workers, counter, process_lifespan, serve, subscribe
from tests.support.counter_worker import print_line

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderPlaced:
    """An order was placed."""

    country: Label


class CountingHost:
    """Such a host in a process of its own, which ends as if its machine had."""

    def __init__(self, port: int, folder: Path | None = None) -> None:
        self.target = f"127.0.0.1:{port}"
        command = [sys.executable, "-m", __name__, str(port), *([] if folder is None else [str(folder)])]
        self._process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self._wait_for("ready")

    def count(self, number: int) -> None:
        """Have it count so many orders, and wait until it has."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{number}\n")
        self._process.stdin.flush()
        self._wait_for(str(number))

    def kill(self) -> None:
        """End it at once; a second time does nothing."""
        self._process.kill()
        self._process.communicate()

    def _wait_for(self, line: str) -> None:
        assert self._process.stdout is not None
        assert self._process.stdout.readline().strip() == line

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()


def main() -> None:
    """Count what the input says."""
    order_placed = Signal(OrderPlaced)  # not in the tests' own process, where a check would miss who emits it
    rows = (counter("orders_total", "Orders placed.", order_placed, labels=("country",)),)
    port, *folders = sys.argv[1:]
    workers = Workers(Path(folders[0])) if folders else None
    registry = CollectorRegistry()
    with (
        subscribe(rows, registry, namespace="acme", label_limits={"country": 10}, workers=workers),
        process_lifespan(workers),
        serve(registry, int(port)),
    ):
        print_line("ready")
        for line in sys.stdin:
            for _ in range(int(line)):
                order_placed.emit(country="de")
            print_line(line.strip())


if __name__ == "__main__":
    main()
