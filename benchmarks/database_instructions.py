"""The instructions of a statement on SQLite in memory that is counted, beside none and listeners that do nothing.

So short a statement's time differs by a tenth from process to process, as its memory happens to lie; `database` has it.
"""

from __future__ import annotations

import gc

import sqlalchemy as sa
from sqlalchemy.orm import Session

from .database import MEMORY, SCENARIO_NAMES, VARIANT_NAMES, VARIANTS
from .database_worker import SCENARIOS, Base, Thing
from .database_worker import VARIANTS as ENGINES
from .forked_instructions import NOTE, count, print_forks
from .measurement import Claim, ratios

BARS = {"select": 1.15, "get": 1.15}
"""By scenario how many times the instructions it may take that it takes where nothing listens."""


def measure(short: bool) -> list[Claim]:
    """Count the instructions of each scenario and variant; in the long form twice."""
    counted = [count(__name__) for _ in range(1 if short else 2)]
    return [compared(scenario, bar, counted) for scenario, bar in BARS.items()]


def compared(scenario: str, bar: float, counted: list[dict[str, float]]) -> Claim:
    """Return what a scenario takes when it is counted, as a ratio to what it takes unwatched."""
    thousands = {variant: [each[f"{scenario} {variant}"] / 1000 for each in counted] for variant in VARIANTS}
    return Claim(
        what=f"instructions of {SCENARIO_NAMES[scenario]} on SQLite in memory, counted, to unwatched",
        bar=bar,
        better="lower",
        unit="times",
        ours=ratios(thousands["ours"], thousands["nothing"]),
        peers={VARIANT_NAMES["empty_pair"]: ratios(thousands["empty_pair"], thousands["nothing"])},
        runs={f"{VARIANT_NAMES[variant]}, thousands": values for variant, values in thousands.items()},
        note=NOTE,
    )


def main() -> None:
    """Run every scenario with every variant."""
    gc.disable()
    for variant in VARIANTS:
        engine: sa.Engine = ENGINES[variant](MEMORY)
        Base.metadata.create_all(engine)
        with Session(engine) as session, session.begin():
            session.add(Thing(id=1, name="a", kind="b", size=1))
        for scenario in BARS:
            with SCENARIOS[scenario](engine) as run:
                print_forks(f"{scenario} {variant}", run)


if __name__ == "__main__":
    main()
