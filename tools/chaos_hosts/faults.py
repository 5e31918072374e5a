"""The faults that happen to hosts, each of which puts right what it has broken before it returns."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from time import sleep

from tests.support.hosts import Host

from .lab import Lab

Inject = Callable[[Lab, Host, Random], None]


@dataclass(frozen=True)
class FaultKind:
    """A kind of fault.

    Attributes:
        name: Its name on the command line, in histories and in reports.
        about: What happens, in a phrase.
        inject: Has it happen to a host, and returns when the host is as before.
        is_common: Whether it happens to all hosts at once.
    """

    name: str
    about: str
    inject: Inject
    is_common: bool = False


def kill(lab: Lab, host: Host, rng: Random) -> None:
    """Kill a host; another start finds its folders, after a while or at once."""
    with lab.fault("kill", host.name):
        host.kill()
        sleep(rng.choice((0.0, rng.uniform(0.0, 2 * lab.lease))))
        host.start()


def cut_briefly(lab: Lab, host: Host, rng: Random) -> None:
    """Drop all packets between a host and the database for less than a lease."""
    _cut("cut", lab, host, lab.lease * rng.uniform(0.1, 0.6))


def cut_for_long(lab: Lab, host: Host, rng: Random) -> None:
    """Drop all packets between a host and the database for longer than a lease."""
    _cut("cut-long", lab, host, lab.lease * rng.uniform(1.5, 3.0))


def _cut(kind: str, lab: Lab, host: Host, seconds: float) -> None:
    with lab.fault(kind, host.name):
        host.link.cut()
        sleep(seconds)
        host.link.heal()


def reset(lab: Lab, host: Host, _rng: Random) -> None:
    """Reset all connections of a host to the database."""
    with lab.fault("reset", host.name):
        host.link.reset()


def restart(lab: Lab, host: Host, _rng: Random) -> None:
    """Stop a host by SIGTERM, and start it."""
    with lab.fault("restart", host.name):
        host.restart()


def freeze(lab: Lab, host: Host, rng: Random) -> None:
    """Suspend a host, for less than a lease or longer."""
    with lab.fault("freeze", host.name):
        host.freeze()
        sleep(lab.lease * rng.uniform(0.2, 3.0))
        host.thaw()


def upgrade(lab: Lab, host: Host, _rng: Random) -> None:
    """Restart a host with the newest workflow version, which is raised where the host has it."""
    newest = max(int(each.version) for each in lab.hosts.values())
    with lab.fault("upgrade", host.name):
        host.restart(str(newest + (int(host.version) == newest)))


def restart_database(lab: Lab, _host: Host, rng: Random) -> None:
    """Stop the database server, and start it after a while: at once, or later than a lease."""
    with lab.fault("database"):
        lab.cluster.server.stop()
        sleep(rng.choice((0.0, lab.lease * rng.uniform(0.2, 2.0))))
        lab.cluster.server.start()


# fmt: off
FAULTS = {kind.name: kind for kind in (
    FaultKind("kill",     "a host is killed with -9, and started again",                   kill),
    FaultKind("cut",      "packets to the database vanish for less than a lease",          cut_briefly),
    FaultKind("cut-long", "packets to the database vanish for longer than a lease",        cut_for_long),
    FaultKind("reset",    "connections to the database are reset",                         reset),
    FaultKind("restart",  "a host is stopped by SIGTERM, and started again",               restart),
    FaultKind("freeze",   "a host is suspended, for less than a lease or longer",          freeze),
    FaultKind("upgrade",  "a host is restarted with a raised version of the workflows",    upgrade),
    FaultKind("database", "the database server is restarted, now or later than a lease",   restart_database, True),
)}
# fmt: on
