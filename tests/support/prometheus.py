"""A real Prometheus with the repository's configuration and rules, at a pace of a second, or all of it faster."""

from __future__ import annotations

import re
import signal
import subprocess
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx

from tests.support.shorter_windows import divided, shortened
from tests.support.wait import wait_until

MONITORING = Path(__file__).parents[2] / "monitoring"

RESEND_DELAY = "1m"
"""After which Prometheus tells Alertmanager of an alert again, by default."""

Labels = tuple[tuple[str, str], ...]


class PrometheusServer:
    """The server: a ``with`` block runs it, with ``monitoring/prometheus.yml`` but for the target and the pace.

    It scrapes and evaluates every second. ``faster`` divides all windows and waits of the rules as well, by so much;
    ``alertmanager`` is the address of one that is sent what fires.

    Attributes:
        url: Where it answers.
    """

    def __init__(self, directory: Path, port: int, target: str, *, faster: float = 1, alertmanager: str = "") -> None:
        self.url = f"http://127.0.0.1:{port}"
        self.directory = directory
        self.faster = faster
        self.client = httpx.Client(base_url=self.url, timeout=60.0)
        config = (MONITORING / "prometheus.yml").read_text()
        for ours, own in (
            ("localhost:8000", target),
            ("scrape_interval: 15s", "scrape_interval: 1s\n  evaluation_interval: 1s"),
        ):
            assert ours in config
            config = config.replace(ours, own)
        if alertmanager:
            block = re.search(r"^#alerting:\n(?:#.*\n)+", config, re.MULTILINE)
            assert block is not None
            taken_in = re.sub("^#", "", block[0], flags=re.MULTILINE).replace("localhost:9093", alertmanager)
            config = config.replace(block[0], taken_in)
        (directory / "prometheus.yml").write_text(config)
        (directory / "rules").mkdir()
        for file in (MONITORING / "rules").glob("*.yml"):
            text = re.sub(r"^( +interval: )\w+$", r"\g<1>1s", shortened(file.read_text(), faster), flags=re.MULTILINE)
            (directory / "rules" / file.name).write_text(text)

    def __enter__(self) -> Self:
        self._log = (self.directory / "log").open("w")
        self.process = subprocess.Popen(
            [
                "prometheus",
                f"--config.file={self.directory / 'prometheus.yml'}",
                f"--storage.tsdb.path={self.directory / 'data'}",
                f"--web.listen-address={self.url.removeprefix('http://')}",
                f"--rules.alert.resend-delay={divided(RESEND_DELAY, self.faster)}",
            ],
            stdout=self._log,
            stderr=subprocess.STDOUT,
        )
        wait_until(self.is_ready, within=60)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.client.close()
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait(30)
        self._log.close()

    def is_ready(self) -> bool:
        """Return whether it answers.

        Raises:
            AssertionError: It has ended; the message is its log.
        """
        assert self.process.poll() is None, (self.directory / "log").read_text()
        try:
            return self.client.get("/-/ready").status_code == 200
        except httpx.TransportError:
            return False

    def query(self, expression: str) -> dict[Labels, float]:
        """Evaluate an expression now, and return its values by their labels.

        Raises:
            AssertionError: It cannot be evaluated.
        """
        found = self._ask("query", query=expression)
        if found["resultType"] == "scalar":
            return {(): float(found["result"][1])}
        return {labels_of(each): float(each["value"][1]) for each in found["result"]}

    def query_range(self, expression: str, start: float, end: float, step: float = 1.0) -> dict[Labels, list[float]]:
        """Evaluate an expression at each step of a range, and return its values by their labels.

        Raises:
            AssertionError: It cannot be evaluated.
        """
        found = self._ask("query_range", query=expression, start=start, end=end, step=step)
        return {labels_of(each): [float(value) for _, value in each["values"]] for each in found["result"]}

    def _ask(self, path: str, **parameters: Any) -> dict[str, Any]:
        answer = self.client.post(f"/api/v1/{path}", data=parameters).json()
        assert answer["status"] == "success", (parameters, answer)
        data: dict[str, Any] = answer["data"]
        return data


def labels_of(series: dict[str, Any]) -> Labels:
    """Return a series's labels without its name, in order."""
    return tuple(sorted((name, value) for name, value in series["metric"].items() if name != "__name__"))
