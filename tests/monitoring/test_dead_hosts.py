"""What hosts counted that died is in the queries that `docs/workers.md` has for it, on a real Prometheus."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from time import time

import pytest

from tests.support.counting_host import CountingHost
from tests.support.prometheus import Prometheus
from tests.support.wait import wait_until
from tools.monitor import programs

pytestmark = [pytest.mark.slow, pytest.mark.needs("prometheus"), pytest.mark.timeout(180)]

PAGE = Path(__file__).parents[2] / "docs" / "workers.md"
EVERYTHING, WITHIN, RESTARTED = re.findall(r"^```promql\n(.*?)\n```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)
"""The three queries of the page, in its order."""

CONFIG = """\
global: {scrape_interval: 1s, scrape_timeout: 1s}
scrape_configs:
  - job_name: acme
    file_sd_configs: [{files: [targets.json], refresh_interval: 1s}]
"""


class Scraped:
    """A Prometheus that scrapes whichever hosts there are."""

    def __init__(self, prometheus: Prometheus, directory: Path) -> None:
        self.prometheus = prometheus
        self._targets = directory / "targets.json"

    def scrape(self, *hosts: CountingHost) -> None:
        """Scrape these hosts from now on."""
        replacement = self._targets.with_suffix(".new")
        replacement.write_text(json.dumps([{"targets": [host.target for host in hosts]}]))
        replacement.replace(self._targets)

    def value(self, expression: str, at: float | None = None) -> float:
        """Return the value of an expression; 0 without one."""
        return self.prometheus.query(expression, at).get((), 0.0)

    def wait_for(self, expression: str, value: float) -> float:
        """Wait until an expression has a value, and return a moment at which it has."""

        def moment() -> float | None:
            now = round(time(), 3)  # Prometheus counts in milliseconds
            return now if self.value(expression, now) == value else None

        found: float = wait_until(moment, within=60, every=0.2)
        return found


@pytest.fixture
def scraped(tmp_path: Path, port: int) -> Iterator[Scraped]:
    (tmp_path / "prometheus.yml").write_text(CONFIG)
    (tmp_path / "targets.json").write_text("[]")
    with programs.prometheus(tmp_path, port) as program, Prometheus.at(program.url) as prometheus:
        yield Scraped(prometheus, tmp_path)


@pytest.fixture
def port(free_port: Callable[[], int]) -> int:
    return free_port()


def since(began: float, now: float) -> str:
    """Return the page's query for what was counted within the hour, of the time between two moments instead."""
    return re.sub(r"\b1h\b", f"{round((now - began) * 1000)}ms", WITHIN)


def test_a_host_that_died_and_a_fresh_one_in_its_place_are_counted_exactly(
    scraped: Scraped, free_port: Callable[[], int]
) -> None:
    with CountingHost(free_port()) as first, CountingHost(free_port()) as lasting:
        scraped.scrape(first, lasting)
        scraped.wait_for("sum(up)", 2)
        first.count(10)
        lasting.count(5)
        began = scraped.wait_for("sum(acme_orders_total)", 15)
        first.count(8)
        scraped.wait_for("sum(acme_orders_total)", 23)
        first.kill()
        scraped.wait_for("sum(up)", 1)
        with CountingHost(free_port()) as fresh:
            fresh.count(7)
            scraped.scrape(lasting, fresh)
            scraped.wait_for("sum(up)", 2)
            now = scraped.wait_for("sum(acme_orders_total)", 12)  # without what the dead one had counted
            assert scraped.value(EVERYTHING, now) == 10 + 5 + 8 + 7
            assert scraped.value(since(began, now), now) == 8 + 7


def test_a_host_that_comes_back_under_its_name_with_its_folder_goes_on(
    scraped: Scraped, free_port: Callable[[], int], tmp_path: Path
) -> None:
    address = free_port()
    with CountingHost(address, tmp_path / "kept") as host:
        scraped.scrape(host)
        host.count(10)
        began = scraped.wait_for("sum(acme_orders_total)", 10)
        host.count(1)  # which nobody scrapes, or does: the folder has it
        host.kill()
    scraped.wait_for("sum(up)", 0)
    with CountingHost(address, tmp_path / "kept") as host:
        host.count(3)
        now = scraped.wait_for("sum(acme_orders_total)", 14)
        assert scraped.value(EVERYTHING, now) == 14
        assert scraped.value(since(began, now), now) == 1 + 3


def test_of_a_host_that_comes_back_under_its_name_with_an_empty_folder_increase_knows_both_lives(
    scraped: Scraped, free_port: Callable[[], int]
) -> None:
    address = free_port()
    with CountingHost(address) as host:
        scraped.scrape(host)
        host.count(1)
        scraped.wait_for("sum(acme_orders_total)", 1)
        host.count(11)
        scraped.wait_for("sum(acme_orders_total)", 12)
    scraped.wait_for("sum(up)", 0)
    with CountingHost(address) as host:
        host.count(7)
        now = scraped.wait_for("sum(acme_orders_total)", 7)
        assert scraped.value(EVERYTHING, now) == 12  # not 19: the larger of two lives
        # Without the 1 that it began with, and a little more or less than the 18 left.
        assert 17 <= scraped.value(RESTARTED, now) <= 22
