"""A real Prometheus with the repository's configuration and rules, at a pace of a second, or all of it faster."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

import httpx

from tests.support.shorter_windows import divided, shortened
from tests.support.wait import wait_until
from tools.monitor import programs
from tools.monitor.configuration import MONITORING, prometheus_config

RESEND_DELAY = "1m"
"""After which Prometheus tells Alertmanager of an alert again, by default."""

NATIVE_HISTOGRAMS = "--enable-feature=native-histograms"
"""Below 3.9, has Prometheus ask for native histograms and store them."""

Labels = tuple[tuple[str, str], ...]


@contextmanager
def running_prometheus(
    directory: Path,
    port: int,
    target: str,
    *,
    faster: float = 1,
    alertmanager: int | None = None,
    native_histograms: bool = False,
) -> Iterator[Prometheus]:
    """Run it while the block runs, with ``monitoring/prometheus.yml`` but for the target and the pace.

    It scrapes and evaluates every second. ``target`` is the address of metrics. ``faster`` divides all windows and
    waits of the rules as well, by so much; ``alertmanager`` is the port of one that is sent what fires. With
    ``native_histograms`` it asks for these and stores no others.
    """
    rules = directory / "rules"
    rules.mkdir()
    for file in (MONITORING / "rules").glob("*.yml"):
        text = re.sub(r"^( +interval: )\w+$", r"\g<1>1s", shortened(file.read_text(), faster), flags=re.MULTILINE)
        (rules / file.name).write_text(text)
    (directory / "prometheus.yml").write_text(prometheus_config(target, alertmanager, pace="1s", rules=rules))
    options = [f"--rules.alert.resend-delay={divided(RESEND_DELAY, faster)}"]
    if native_histograms:
        options.append(NATIVE_HISTOGRAMS)
    with programs.prometheus(directory, port, *options) as program, Prometheus.at(program.url) as prometheus:
        yield prometheus


class Prometheus:
    """A running Prometheus, to be asked.

    Attributes:
        client: What asks it.
    """

    def __init__(self, client: httpx.Client) -> None:
        self.client = client

    @classmethod
    @contextmanager
    def at(cls, url: str) -> Iterator[Self]:
        """Yield the Prometheus that answers at a URL."""
        with httpx.Client(base_url=url, timeout=60.0) as client:
            yield cls(client)

    def query(self, expression: str, at: float | None = None) -> dict[Labels, float]:
        """Evaluate an expression at a moment, now where None, and return its values by their labels.

        The value of a native histogram is how many observations it has.

        Raises:
            AssertionError: It cannot be evaluated.
        """
        found = self._ask("query", query=expression, **({} if at is None else {"time": at}))
        if found["resultType"] == "scalar":
            return {(): float(found["result"][1])}
        return {
            labels_of(each): float(each["value"][1]) if "value" in each else count_of(each["histogram"])
            for each in found["result"]
        }

    def query_range(self, expression: str, start: float, end: float, step: float = 1.0) -> dict[Labels, list[float]]:
        """Evaluate an expression at each step of a range, and return its values by their labels, as `query` does.

        Raises:
            AssertionError: It cannot be evaluated.
        """
        found = self._ask("query_range", query=expression, start=start, end=end, step=step)
        return {
            labels_of(each): [float(value) for _, value in each.get("values", [])]
            + [count_of(sample) for sample in each.get("histograms", [])]
            for each in found["result"]
        }

    def wait_for_scrapes(self, number: int) -> None:
        """Wait until a target was scraped so many times more."""
        newest = "max(timestamp(up))"
        for _ in range(number):
            before = self.query(newest)[()]
            wait_until(lambda: self.query(newest)[()] > before, every=0.1)  # noqa: B023  # it returns in the loop

    def _ask(self, path: str, **parameters: Any) -> dict[str, Any]:
        answer = self.client.post(f"/api/v1/{path}", data=parameters).json()
        assert answer["status"] == "success", (parameters, answer)
        data: dict[str, Any] = answer["data"]
        return data


def labels_of(series: dict[str, Any]) -> Labels:
    """Return a series's labels without its name, in order."""
    return tuple(sorted((name, value) for name, value in series["metric"].items() if name != "__name__"))


def count_of(sample: tuple[float, dict[str, Any]]) -> float:
    """Return how many observations a sample of a native histogram has."""
    return float(sample[1]["count"])
