"""The instructions of emitting an event: to nobody, to a plain listener and into the catalogue, inside a span too."""

from __future__ import annotations

from prometheus_client import CollectorRegistry

from events import agent_run, llm_called
from metrics import CATALOGUE, subscribe

from .emit import CALL
from .forked_instructions import NOTE, count, print_forks
from .measurement import Claim

BARS = {
    "to nobody": ("one `llm_called` that nobody receives", 11),
    "to a listener": ("one `llm_called` to a plain listener", 25),
    "into the catalogue": ("one `llm_called` into its metrics", 37.7),
    "into the catalogue, in a span": ("one `llm_called` into its metrics, inside an agent's span", 64.9),
}
"""By variant what it is, and at most how many thousand instructions it may take.

Into the catalogue they are half, and in a span 0.55, of what it took where every event was built and every field read.
"""


def measure(short: bool) -> list[Claim]:
    """Count the instructions of each variant; in the long form twice."""
    counted = [count(__name__) for _ in range(1 if short else 2)]
    return [
        Claim(
            what=f"{what}, in instructions",
            bar=bar,
            better="lower",
            unit="thousand",
            ours=[each[variant] / 1000 for each in counted],
            note=NOTE,
        )
        for variant, (what, bar) in BARS.items()
    ]


def emit(number: int) -> None:
    """Emit that many events."""
    for _ in range(number):
        llm_called.emit(**CALL)


def ignore(_: object) -> None:
    """Receive an event."""


def main() -> None:
    """Run every variant."""
    print_forks("to nobody", emit)
    with llm_called.connected_to(ignore):
        print_forks("to a listener", emit)
    with subscribe(CATALOGUE, CollectorRegistry(), namespace="sparklio"):
        print_forks("into the catalogue", emit)
        with agent_run(agent_name="writer"):
            print_forks("into the catalogue, in a span", emit)


if __name__ == "__main__":
    main()
