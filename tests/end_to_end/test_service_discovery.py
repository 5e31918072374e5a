"""The discovery that ``monitoring/prometheus.yml`` has as comments, by a real Prometheus: instances come and go."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from metrics import MetricsServer, serve
from tests.support.dns_server import DNSServer, prometheus_that_asks
from tests.support.prometheus import Prometheus
from tests.support.wait import wait_until
from tools.monitor import programs

pytestmark = [pytest.mark.slow, pytest.mark.needs("prometheus"), pytest.mark.timeout(180)]

CONFIG = (Path(__file__).parents[2] / "monitoring" / "prometheus.yml").read_text()
FIRST, SECOND = "127.0.0.2", "127.0.0.3"
"""Addresses of two hosts whose servers have the same port."""

RESOLVER = "127.0.0.53"


def config_with(kind: str, port: int) -> str:
    """Return the configuration with the block of a discovery taken in, and no other job; its paces are a second."""
    [block] = re.findall(rf"^  #- job_name: \S+-by-{kind}\n(?:  #.+\n)+", CONFIG, re.MULTILINE)
    text = f"global:\n  scrape_interval: 15s\nscrape_configs:\n{re.sub('(?m)^  #', '  ', block)}"
    return text.replace("15s", "1s").replace("port: 8000", f"port: {port}")


@pytest.fixture
def port(free_port: Callable[[], int]) -> int:
    return free_port()


@pytest.fixture
def hosts(port: int) -> Iterator[tuple[MetricsServer, MetricsServer]]:
    """Serve metrics on two addresses."""
    with ExitStack() as stack:
        first, second = (stack.enter_context(serve(CollectorRegistry(), port, host=host)) for host in (FIRST, SECOND))
        yield first, second


def instances_up(prometheus: Prometheus) -> set[str]:
    """Return the instances that the rules and panels see, by their job."""
    found = prometheus.query('up{job="sparklio-backend"} == 1')
    return {dict(labels)["instance"] for labels in found}


def wait_for(prometheus: Prometheus, *hosts: str, port: int) -> None:
    """Wait until these are the instances that are scraped."""
    wait_until(lambda: instances_up(prometheus) == {f"{host}:{port}" for host in hosts}, every=0.1)


@pytest.mark.usefixtures("hosts")
def test_instances_of_a_file_come_and_go_as_it_changes(tmp_path: Path, port: int, free_port: Callable[[], int]) -> None:
    (tmp_path / "prometheus.yml").write_text(config_with("file", port))
    (tmp_path / "targets").mkdir()
    with programs.prometheus(tmp_path, free_port()) as program, Prometheus.at(program.url) as prometheus:
        for hosts in ([FIRST], [FIRST, SECOND], [SECOND]):
            replace(
                tmp_path / "targets" / "studio.json", json.dumps([{"targets": [f"{host}:{port}" for host in hosts]}])
            )
            wait_for(prometheus, *hosts, port=port)


def replace(file: Path, text: str) -> None:
    """Write a file so that nobody reads half of it."""
    new = file.with_suffix(".new")
    new.write_text(text)
    new.rename(file)


@pytest.mark.skipif(os.geteuid() != 0, reason="a port below 1024 and a mount take root")
@pytest.mark.usefixtures("hosts")
def test_instances_of_a_name_come_and_go_as_its_addresses_change(
    tmp_path: Path, port: int, free_port: Callable[[], int]
) -> None:
    (tmp_path / "prometheus.yml").write_text(config_with("dns", port))
    names = {"backend": [FIRST]}
    with ExitStack() as stack:
        with DNSServer(RESOLVER, names):
            prometheus = stack.enter_context(prometheus_that_asks(RESOLVER, tmp_path, free_port()))
            wait_for(prometheus, FIRST, port=port)
            names["backend"] = [FIRST, SECOND]
            wait_for(prometheus, FIRST, SECOND, port=port)
            names["backend"] = [SECOND]
            wait_for(prometheus, SECOND, port=port)
        prometheus.wait_for_scrapes(3)  # nobody answers: those that were found last stay
        assert instances_up(prometheus) == {f"{SECOND}:{port}"}
        names.clear()
        with DNSServer(RESOLVER, names):
            wait_for(prometheus, port=port)
