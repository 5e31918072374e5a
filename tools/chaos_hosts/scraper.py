"""The scraper: it reads the counters of a host every second, as Prometheus does, and has a dead one's last ones."""

from __future__ import annotations

from collections import Counter
from contextlib import suppress
from threading import Event, Thread
from time import time

import httpx
from prometheus_client.parser import text_string_to_metric_families

from tests.support.hosts import Host

from .history import Counted

_NAMES = ("llm_tokens_total", "workflows_started_total", "workflows_total")
_PATH = "/metrics?" + "&".join(f"name[]=sparklio_{name}" for name in _NAMES)


class Scraper:
    """The counters of a host.

    Attributes:
        host: The host.
        last: What its last scrape has shown.
    """

    def __init__(self, host: Host) -> None:
        self.host = host
        self.last = Counted(host.name, 0.0, is_alive=False)
        self._stopping = Event()
        self._thread = Thread(target=self._scrape_forever, name=f"scraper of {host.name}", daemon=True)

    def start(self) -> None:
        """Scrape every second from now on."""
        self._thread.start()

    def stop(self) -> None:
        """Scrape no more."""
        self._stopping.set()
        self._thread.join(30)

    def scrape(self) -> Counted:
        """Return what the host shows now, or what it has last shown where it does not answer."""
        with suppress(httpx.HTTPError):
            began = time()
            response = self.host.get(_PATH, within=5.0)
            if response.status_code == 200:
                self.last = _counted(self.host.name, began, response.text)
        return self.last

    def _scrape_forever(self) -> None:
        while not self._stopping.wait(1.0):
            if self.host.is_alive:
                self.scrape()


def _counted(host: str, at: float, text: str) -> Counted:
    tokens: Counter[str] = Counter()
    ended: Counter[str] = Counter()
    started = 0
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            match sample.name.removeprefix("sparklio_"):
                case "llm_tokens_total":
                    tokens[sample.labels["token_type"]] += int(sample.value)
                case "workflows_total":
                    ended[sample.labels["status"]] += int(sample.value)
                case "workflows_started_total":
                    started += int(sample.value)
    return Counted(host, at, True, tokens["prompt"], tokens["completion"], started, dict(ended))
