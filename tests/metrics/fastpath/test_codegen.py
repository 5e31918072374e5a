"""The generated update functions: their source, letter by letter, and what a traceback shows of it.

After an intended change: ``python -m tests.metrics.fastpath.test_codegen``, then read the difference.
"""

from __future__ import annotations

import linecache
import traceback
from pathlib import Path
from types import SimpleNamespace

import pytest

from metrics.fastpath.codegen import generate_update_function, update_source
from metrics.fastpath.shape import AmountShape, UpdateShape

GOLDEN = Path(__file__).parent / "golden"
SHAPES = {
    "one_of_each": UpdateShape(counters=1, timestamps=1, amounts=(AmountShape("duration", "histogram"),)),
    "by_values": UpdateShape(counters=2, amounts=(AmountShape("cost"),), field_names=("rows", "cost")),
    "shared_cells": UpdateShape(
        counters=1, timestamps=1, amounts=(AmountShape("duration", "histogram"),), shared_cells=True
    ),
    "joined": UpdateShape(
        amounts=(AmountShape("tokens"), AmountShape("tokens", "histogram", is_joined=True), AmountShape("cost"))
    ),
    "exponential_buckets": UpdateShape(amounts=(AmountShape("duration", "native"),)),
    "together": UpdateShape(
        counters=1,
        amounts=(
            AmountShape("cost", number="float", minimum=0.0, limit=1e6),
            AmountShape("rest", number="float", minimum=0.0, limit=1e6),
            AmountShape("rows"),
            AmountShape("tokens", number="int", minimum=0, limit=10**9),
            AmountShape("tokens", "histogram", is_joined=True, number="int", minimum=0, limit=10**9),
        ),
        spans=("call_id",),
        field_names=("tokens", "cost", "rows", "call_id"),
        is_unpacked=True,
        computed=(("rest", "derive_rest(cost_)"),),
        constants=("derive_rest",),
    ),
}


def source(shape: UpdateShape) -> str:
    return "\n".join(update_source(shape)) + "\n"


@pytest.mark.parametrize("name", SHAPES)
def test_the_source_of_a_shape_is_the_recorded_one(name: str) -> None:
    assert source(SHAPES[name]) == (GOLDEN / f"{name}.py.txt").read_text()


def test_every_shape_has_a_name_of_its_own() -> None:
    assert [*map(str, SHAPES.values())] == [
        "1 counter, 1 timestamp, duration:histogram",
        "2 counters, 0 timestamps, cost:counter, by values of (rows, cost)",
        "1 counter, 1 timestamp, duration:histogram, in shared cells",
        "0 counters, 0 timestamps, tokens:counter, joined tokens:histogram, cost:counter",
        "0 counters, 0 timestamps, duration:native",
        "1 counter, 0 timestamps, cost:counter of float below 1000000.0, rest:counter of float below 1000000.0,"
        " rows:counter, tokens:counter of int below 1000000000, joined tokens:histogram of int below 1000000000,"
        " span of call_id,"
        " by each of (tokens, cost, rows, call_id), rest is derive_rest(cost_)",
    ]


def test_a_traceback_shows_the_line_of_the_generated_code() -> None:
    update = generate_update_function(UpdateShape(amounts=(AmountShape("duration", "histogram"),)))(
        slow_path=None, minimum0=0.0, limit0=1.0, floor0=0, top0=1, sum0=None, bounds0=[], buckets0=[]
    )
    linecache.checkcache()  # as every traceback does: it drops the entries of files that changed
    with pytest.raises(AttributeError) as caught:
        update(SimpleNamespace(duration=0.5))
    last = traceback.extract_tb(caught.value.__traceback__)[-1]
    assert last.filename == "<metrics update 0 counters, 0 timestamps, duration:histogram>"
    assert last.line == "sum0._value = sum0._value + amount"


if __name__ == "__main__":
    for name, shape in SHAPES.items():
        (GOLDEN / f"{name}.py.txt").write_text(source(shape))
