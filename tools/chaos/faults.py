"""The faults: what fails, for how long, and where; each is a context manager that puts right what it has broken."""

from __future__ import annotations

import os
import signal
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass
from time import monotonic, sleep

import psycopg

from tests.support.outages import children_of, drop_tables, locked, suspended

from .scene import Scene
from .small_disk import filled

Inject = Callable[[Scene], AbstractContextManager[object]]
EVERYWHERE = ("sqlite", "postgresql")
POSTGRESQL = ("postgresql",)


@dataclass(frozen=True, kw_only=True)
class Fault:
    """One fault.

    Attributes:
        name: Its name on the command line and in tables.
        about: What happens, in a phrase.
        inject: The context manager: the fault lasts while its block runs.
        seconds: How long it lasts.
        databases: The databases that it can happen to.
        workers: The numbers of workers that it makes sense with.
        fails_runs: Whether runs may fail of it, each with its reason.
    """

    name: str
    about: str
    inject: Inject
    seconds: float = 5.0
    databases: tuple[str, ...] = EVERYWHERE
    workers: tuple[int, ...] = (1, 4)
    fails_runs: bool = False


@contextmanager
def nothing(_scene: Scene) -> Iterator[None]:
    """Do nothing."""
    yield


@contextmanager
def server_stopped(scene: Scene) -> Iterator[None]:
    """Stop the database server, and start it again."""
    assert scene.server is not None
    scene.server.stop()
    try:
        yield
    finally:
        scene.server.start()


@contextmanager
def server_hangs(scene: Scene) -> Iterator[None]:
    """Suspend every process of the database server, as if its packets were lost."""
    assert scene.server is not None
    postmaster = scene.server.get_pid()
    assert postmaster is not None
    with suspended(postmaster, *children_of(postmaster)):
        yield


@contextmanager
def sessions_ended(scene: Scene) -> Iterator[None]:
    """End all sessions of the studio's, as an administrator or a proxy does."""
    with psycopg.connect(scene.url, autocommit=True) as connection:
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
    yield


@contextmanager
def connections_taken(scene: Scene) -> Iterator[None]:
    """Hold every connection that the server has left, and end the studio's, so that it needs new ones."""
    assert scene.server is not None
    with ExitStack() as held, suppress(psycopg.OperationalError):
        with sessions_ended(scene), suppress(psycopg.OperationalError):
            while True:
                held.enter_context(closing(psycopg.connect(scene.server.get_uri())))
        yield


@contextmanager
def tables_locked(scene: Scene) -> Iterator[None]:
    """Hold the locks of another program's long transaction, for longer than a writer waits."""
    if scene.server is not None:
        with psycopg.connect(scene.url) as connection:
            connection.execute("LOCK TABLE runs, steps, attempts IN ACCESS EXCLUSIVE MODE")
            yield
            connection.rollback()
        return
    with locked(scene.data / "studio.db"), locked(scene.data / "studio.workflows.db"):
        yield


@contextmanager
def disk_full(scene: Scene) -> Iterator[None]:
    """Fill the disk that the database is on."""
    with filled(scene.disk):
        yield
    if scene.server is not None:
        scene.server.start()  # it may have ended; if it runs, nothing happens


@contextmanager
def engine_tables_dropped(scene: Scene) -> Iterator[None]:
    """Drop all tables of the workflow engine."""
    if scene.server is not None:
        with psycopg.connect(scene.url, autocommit=True) as connection:
            connection.execute("DROP SCHEMA dbos CASCADE")
    else:
        drop_tables(scene.data / "studio.workflows.db")
    yield


@contextmanager
def engine_tables_away(scene: Scene) -> Iterator[None]:
    """Rename what the workflow engine looks for, and rename it back, unless the studio has created it again."""
    if scene.server is not None:
        exists = "SELECT 1 FROM information_schema.schemata WHERE schema_name = 'dbos'"
        away, back = "ALTER SCHEMA dbos RENAME TO dbos_away", "ALTER SCHEMA dbos_away RENAME TO dbos"
        with psycopg.connect(scene.url, autocommit=True) as connection:
            connection.execute(away)
            yield
            connection.execute(b"DROP SCHEMA dbos_away CASCADE" if connection.execute(exists).fetchone() else back)
        return
    with closing(sqlite3.connect(scene.data / "studio.workflows.db", timeout=60)) as file:
        file.execute("PRAGMA legacy_alter_table = ON")  # the other tables go on referring to the old name
        file.execute("ALTER TABLE workflow_status RENAME TO away")
        file.commit()
        yield
        if file.execute("SELECT 1 FROM sqlite_master WHERE name = 'workflow_status'").fetchone():
            file.execute("DROP TABLE away")
        else:
            file.execute("ALTER TABLE away RENAME TO workflow_status")
        file.commit()


@contextmanager
def all_killed(scene: Scene) -> Iterator[None]:
    """Kill the launcher and its workers with -9, and start another."""
    scene.kill()
    yield
    scene.start()


@contextmanager
def worker_killed(scene: Scene) -> Iterator[None]:
    """Kill one worker with -9; the launcher replaces it."""
    os.kill(scene.rng.choice(scene.worker_processes()), signal.SIGKILL)
    yield


@contextmanager
def all_suspended(scene: Scene) -> Iterator[None]:
    """Suspend the launcher and its workers, as a machine does that sleeps."""
    with suspended(*{scene.studio.process.pid, *scene.worker_processes()}):
        yield


@contextmanager
def all_terminated(scene: Scene) -> Iterator[None]:
    """Stop the studio with SIGTERM, and start another."""
    assert scene.stop() == 0
    yield
    scene.start()


@contextmanager
def terminated_without_server(scene: Scene) -> Iterator[None]:
    """Stop the studio with SIGTERM while the database server is away, and start both again."""
    with server_stopped(scene):
        assert scene.stop() == 0
        yield
    scene.start()


@contextmanager
def model_away(scene: Scene) -> Iterator[None]:
    """Drop all connections to the model server."""
    scene.model.is_away = True
    yield
    scene.model.is_away = False


@contextmanager
def model_hangs(scene: Scene) -> Iterator[None]:
    """Have the model server take requests and answer none of them."""
    scene.model.is_stalling = True
    yield
    scene.model.is_stalling = False


def last(scene: Scene, seconds: float) -> None:
    """Go on submitting runs for so long; some are refused."""
    deadline = monotonic() + seconds
    while (left := deadline - monotonic()) > 0:
        scene.submit(within=min(left, 3.0) + 0.1)
        sleep(max(0.0, min(1.0, deadline - monotonic())))


# fmt: off
FAULTS = {fault.name: fault for fault in (
    Fault(name="nothing", about="all is well", inject=nothing, seconds=2),
    Fault(name="server-stopped", about="PostgreSQL is stopped and started",
        inject=server_stopped, databases=POSTGRESQL),
    Fault(name="server-hangs", about="PostgreSQL does not answer",
        inject=server_hangs, seconds=10, databases=POSTGRESQL),
    Fault(name="sessions-ended", about="all sessions are ended",
        inject=sessions_ended, seconds=2, databases=POSTGRESQL),
    Fault(name="connections-taken", about="there are too many connections",
        inject=connections_taken, databases=POSTGRESQL),
    Fault(name="tables-locked", about="another program holds the locks",
        inject=tables_locked, seconds=35),
    Fault(name="disk-full", about="the database's disk is full",
        inject=disk_full, seconds=8),
    Fault(name="engine-tables-dropped", about="the engine's tables are dropped",
        inject=engine_tables_dropped, seconds=1),
    Fault(name="engine-tables-away", about="the engine's tables are renamed and come back",
        inject=engine_tables_away, seconds=1.5),
    Fault(name="killed", about="launcher and workers are killed with -9, and started again",
        inject=all_killed, seconds=1),
    Fault(name="worker-killed", about="one of the workers is killed with -9",
        inject=worker_killed, seconds=1, workers=(4,)),
    Fault(name="suspended", about="all processes of the studio are suspended",
        inject=all_suspended, seconds=10),
    Fault(name="terminated", about="the studio gets SIGTERM, and is started again",
        inject=all_terminated, seconds=1),
    Fault(name="terminated-without-server", about="the same while PostgreSQL is away",
        inject=terminated_without_server, seconds=1, databases=POSTGRESQL),
    Fault(name="model-away", about="the model server drops connections",
        inject=model_away, fails_runs=True),
    Fault(name="model-hangs", about="the model server answers no request",
        inject=model_hangs, fails_runs=True),
)}
# fmt: on
