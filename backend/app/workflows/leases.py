"""The lease of this process: a row of the database that says it lives, renewed by a thread every two seconds.

Other hosts read it, and take over the runs of a process whose lease has lapsed (`liveness`). So the process stops its
own runs before they do: it counts its lease as lapsed one beat earlier, from the moment at which the last renewal that
succeeded was sent, by a clock that goes on while the process or its machine is suspended.

On SQLite all processes are of one machine, where locks of files say who lives: a lease is not started, and always held.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass
from math import inf
from threading import Event, Thread
from typing import Any

import psycopg
from sqlalchemy.engine import URL

from app.database import READ_COMMITTED, psycopg_options

_BEAT = 2.0  # seconds at most between two renewals
_BEATS = 5  # renewals that a short lease has time for, at least
_STOP_TIMEOUT = 2.0  # seconds that a stop waits for the thread
_CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)  # macOS has the first one under the name of the second

_RENEW = """\
INSERT INTO executors (id, host, version, concurrency, total_concurrency, lease_seconds, started_at, beat_at)
VALUES (%(id)s, %(host)s, %(version)s, %(concurrency)s, %(total_concurrency)s, %(lease_seconds)s,
    clock_timestamp(), clock_timestamp())
ON CONFLICT (id) DO UPDATE SET beat_at = clock_timestamp()"""
_STOP = "UPDATE executors SET stopped_at = clock_timestamp() WHERE id = %(id)s"


@dataclass(frozen=True, slots=True, kw_only=True)
class Holder:
    """The process as it describes itself in its row: `app.database.models.Executor` has the meaning of each field."""

    id: str
    host: str
    version: str
    concurrency: int
    total_concurrency: int | None = None


class Lease:
    """The lease of this process; as long as it has not been started, it is held for ever.

    Attributes:
        seconds: How long it lasts for others after a renewal.
        beat: Seconds between two renewals.
        failure: The name of the error that the last renewal failed with; "" if it succeeded.
    """

    def __init__(self, url: URL, seconds: float) -> None:
        self.seconds = seconds
        self.beat = min(_BEAT, seconds / _BEATS)
        self.failure = ""
        self._url = url
        self._values: dict[str, Any] = {}
        self._connection: psycopg.Connection | None = None
        self._thread: Thread | None = None
        self._stopping = Event()
        self._expires = inf  # until when it is held, by `_now`
        self._held_since = -inf
        # The thread counts how often it found the lease lapsed; it is held again once the loop has dealt with each.
        self._lapses = self._lapses_dealt_with = 0
        self._loop: asyncio.AbstractEventLoop | None = None
        self._changed = asyncio.Event()
        self._held = asyncio.Event()

    def start(self, holder: Holder) -> None:
        """Store the lease, and renew it from a thread until `stop`.

        Raises:
            psycopg.Error: It cannot be stored.
        """
        self._values = {**asdict(holder), "lease_seconds": self.seconds}
        self._held_since = sent = _now()
        self._renew()
        self._expires = sent + self.seconds - self.beat
        self._thread = Thread(target=self._renew_forever, name="lease", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Store that the process has released its runs, if the database answers within a few seconds."""
        if self._thread is None:
            return
        self._stopping.set()
        self._thread.join(_STOP_TIMEOUT)
        if self._thread.is_alive() or self.failure:
            return  # the database does not answer: the lease lapses
        with suppress(psycopg.Error):
            self._execute(_STOP)
        self._close()

    @property
    def is_started(self) -> bool:
        """Whether there are leases: not on SQLite."""
        return self._thread is not None

    @property
    def is_held(self) -> bool:
        """Whether no other process may take over this one's runs yet: ask right before each thing that costs."""
        # In this order: the thread counts a lapse before it renews the lease.
        return _now() < self._expires and self._lapses == self._lapses_dealt_with

    def check_from_now(self) -> Callable[[], None]:
        """Return a check that raises CancelledError once the lease has lapsed from now on, renewed since or not.

        What is under way is to end as at a stop.
        """
        lapses = self._lapses

        def check() -> None:
            if not self.is_held or self._lapses != lapses:
                raise asyncio.CancelledError

        return check

    @property
    def held_for(self) -> float:
        """The seconds since when it has been held without a lapse."""
        return _now() - self._held_since if self.is_held else 0.0

    @property
    def was_renewed_late(self) -> bool:
        """Whether it had lapsed until shortly ago: what was begun before may belong to another process by now."""
        return self._lapses > 0 and self.held_for < self.seconds

    async def wait_until_held(self) -> None:
        """Wait until the lease is held and `watch` has said so."""
        while not self.is_held:
            self._held.clear()
            await self._held.wait()

    async def watch(self, on_lapse: Callable[[], None], on_renewal: Callable[[], None]) -> None:
        """Call ``on_lapse()`` when the lease lapses, and ``on_renewal()`` before it is held again, until cancelled."""
        self._loop = asyncio.get_running_loop()
        lapsed = False
        while True:
            self._changed.clear()
            lapses = self._lapses
            expired = _now() >= self._expires
            if not lapsed and (expired or lapses != self._lapses_dealt_with):
                lapsed = True
                on_lapse()
            if lapsed and not expired:
                lapsed = False
                on_renewal()
                self._lapses_dealt_with = lapses
                self._held.set()
            left = self._expires - _now()
            with suppress(TimeoutError):
                await asyncio.wait_for(self._changed.wait(), None if expired or left == inf else max(left, 0.0))

    def _renew_forever(self) -> None:
        while not self._stopping.wait(self.beat):
            sent = _now()
            try:
                self._renew()
            except Exception as error:  # whatever failed, the next beat tries again
                self.failure = type(error).__name__
                self._close()
            else:
                self.failure = ""
                self._extend(sent)

    def _extend(self, sent: float) -> None:
        lapsed = _now() >= self._expires
        if lapsed:
            self._held_since = sent
            self._lapses += 1
        self._expires = sent + self.seconds - self.beat
        if lapsed and self._loop is not None:
            with suppress(RuntimeError):  # the loop is closed
                self._loop.call_soon_threadsafe(self._changed.set)

    def _renew(self) -> None:
        self._execute(_RENEW)

    def _execute(self, statement: str) -> None:
        if self._connection is None:
            self._connection = self._connect()
        self._connection.execute(statement, self._values)

    def _connect(self) -> psycopg.Connection:
        timeout = min(2.0, self.seconds / 4)
        # https://www.postgresql.org/docs/current/libpq-connect.html: seconds, but for tcp_user_timeout.
        options = psycopg_options(
            self._url,
            application_name="sparklio_lease",
            connect_timeout=max(2, int(timeout)),
            tcp_user_timeout=int(self.seconds / 2 * 1000),
            keepalives_idle=2,
            keepalives_interval=2,
            keepalives_count=2,
        )
        connection = psycopg.connect(autocommit=True, **options)
        try:
            connection.execute(f"SET statement_timeout = {int(timeout * 1000)}; {READ_COMMITTED}".encode())
        except BaseException:
            connection.close()
            raise
        return connection

    def _close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def _now() -> float:
    """Return the seconds of a clock that nobody sets, and that goes on while the machine sleeps."""
    return time.clock_gettime(_CLOCK)
