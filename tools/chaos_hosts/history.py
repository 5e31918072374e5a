"""The history of a deployment: what its database, its model server and its hosts say has happened, as data.

All moments are seconds since the epoch. The database's clock and the model server's are the same machine's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import inf

ENDED = frozenset({"completed", "failed", "cancelled", "abandoned"})
PENDING = "PENDING"
"""The status of a workflow that an executor holds, in DBOS's word."""


@dataclass(frozen=True)
class HolderChange:
    """A change of a workflow's row in DBOS: its status then, or ``DELETED``, and the host of its executor."""

    at: float
    run: str
    status: str
    host: str


@dataclass(frozen=True)
class RunChange:
    """A change of a run's row: its status then."""

    at: float
    run: str
    status: str


@dataclass(frozen=True)
class StepStored:
    """A step whose success was stored."""

    at: float
    run: str
    step: str


@dataclass(frozen=True)
class ModelCall:
    """A request to the model server.

    Attributes:
        number: Its number, which is also how many prompt tokens its answer has.
        host: The host that asked.
        run: The run that it was for.
        step: The step that it was for.
        began: When the request had come.
        ended: When its answer was sent, or its client had left.
        is_sent: Whether its answer was sent whole.
        is_read: Whether the client's process has read all of it.
        completion_tokens: The completion tokens of its answer.
    """

    number: int
    host: str
    run: str
    step: str
    began: float
    ended: float = inf
    is_sent: bool = False
    is_read: bool = False
    completion_tokens: int = 0


@dataclass(frozen=True)
class AttemptStored:
    """The usage of one attempt at a step, as it is stored."""

    run: str
    step: str
    prompt_tokens: int
    completion_tokens: int


@dataclass(frozen=True)
class Fault:
    """A fault, from its beginning until what it has broken is whole again.

    Attributes:
        kind: Its name.
        host: The host that it happened to; "" where it happened to all.
        began: When it began.
        ended: When the host was as before; infinity where it never was.
    """

    kind: str
    host: str
    began: float
    ended: float = inf

    @property
    def is_cut(self) -> bool:
        """Whether packets vanished."""
        return self.kind.startswith("cut")

    def overlaps(self, began: float, ended: float) -> bool:
        """Return whether some of it was between two moments."""
        return self.began <= ended and began <= self.ended


@dataclass(frozen=True)
class Submission:
    """A submission that was accepted: the idempotency key that it had, and the run that the answer named."""

    key: str
    run: str


@dataclass(frozen=True)
class Cancellation:
    """A cancellation that was asked for.

    Attributes:
        run: The run.
        at: When it was asked for.
        status: The status code of the answer; 0 without one.
        seconds: How long the answer took.
    """

    run: str
    at: float
    status: int
    seconds: float = 0.0


@dataclass(frozen=True)
class Counted:
    """The counters of a host, as it was scraped last.

    Attributes:
        host: Its name.
        at: When it was scraped.
        is_alive: Whether its process lives; else this is what it last showed.
        prompt_tokens: The prompt tokens.
        completion_tokens: The completion tokens.
        started: How many runs were started.
        ended: How many runs ended, by status.
    """

    host: str
    at: float
    is_alive: bool
    prompt_tokens: int = 0
    completion_tokens: int = 0
    started: int = 0
    ended: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class History:
    """All that is known of a deployment at a moment when nothing is under way.

    Attributes:
        lease: The seconds of a lease.
        total: How many runs all hosts together may execute at once; None where there is no such limit.
        hosts: The names of the hosts.
        at: The moment.
        keys: The idempotency key of each stored run, by the run.
        submissions: The submissions that were accepted.
        cancellations: The cancellations that were asked for.
        holders: The changes of workflows in DBOS, in their order.
        changes: The changes of runs, in their order.
        steps: The steps whose success was stored, in their order.
        calls: The requests to the model server.
        attempts: The attempts that are stored.
        faults: The faults.
        counted: The counters of the hosts.
        crashes: The hosts whose process has ended without a fault, each with how.
    """

    lease: float
    hosts: Sequence[str]
    at: float
    total: int | None = None
    keys: Mapping[str, str] = field(default_factory=dict)
    submissions: Sequence[Submission] = ()
    cancellations: Sequence[Cancellation] = ()
    holders: Sequence[HolderChange] = ()
    changes: Sequence[RunChange] = ()
    steps: Sequence[StepStored] = ()
    calls: Sequence[ModelCall] = ()
    attempts: Sequence[AttemptStored] = ()
    faults: Sequence[Fault] = ()
    counted: Sequence[Counted] = ()
    crashes: Sequence[str] = ()
