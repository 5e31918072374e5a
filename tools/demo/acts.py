"""The acts of the demonstration: what goes wrong in each, and what an operator sees of it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Act:
    """A stretch of time in which one thing is different.

    ``minutes`` are those of a demonstration of ten. ``runs`` is how many runs are started a minute. ``down`` are the
    models that fail, ``refuses`` the share of the first model's requests that are over its rate limit, ``seconds``
    what an answer takes, ``useless`` the share of answers that fit no schema. ``locks`` has another process hold the
    database, ``kills`` kills the studio in mid-run and starts it again, ``floods`` sends what the studio refuses.
    """

    name: str
    shows: str
    minutes: float
    runs: float = 20
    down: tuple[str, ...] = ()
    refuses: float = 0.02
    useless: float = 0.03
    seconds: float = 0.6
    rejects: float = 0.1
    locks: bool = False
    kills: bool = False
    floods: bool = False


FIRST, SECOND = "gpt-4o", "gpt-4o-mini"
"""The models: the one that is asked, and the one that is asked where it fails."""

ACTS = (
    Act(name="an ordinary morning", shows="runs, cost, tokens, times of every step", minutes=2),
    Act(name="more work than slots", shows="the queue grows, and the oldest run in it", minutes=1.5, runs=90),
    Act(name=f"{FIRST} is over its rate limit", shows="retries, waits, what is left", minutes=1, refuses=0.5),
    Act(name=f"{FIRST} is down", shows=f"{SECOND} answers; calls served by the fallback", minutes=1, down=(FIRST,)),
    Act(name="both models are down", shows="runs fail, by cause; burn of the budget of errors", minutes=0.7,
        down=(FIRST, SECOND)),
    Act(name="answers that fit no schema", shows="retries of output, and what they cost", minutes=0.8, useless=0.3),
    Act(name="reviewers reject", shows="verdicts, and wasted cost", minutes=0.7, rejects=0.7),
    Act(name="another process locks the database", shows="writes that wait for the lock, and health", minutes=0.6,
        locks=True),
    Act(name="the studio is killed and starts again", shows="runs that are taken up, and none lost", minutes=0.5,
        kills=True),
    Act(name="strangers at the door", shows="requests that are refused, by their reason", minutes=0.5, floods=True),
    Act(name="an ordinary evening", shows="everything ends well again", minutes=0.7),
)  # fmt: skip
