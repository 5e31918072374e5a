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
ANY = "of float from 0.0 below 9.223372036854776e+18"
"""What a shape's name says of an amount without limits of its own."""
SHAPES = {
    "one_of_each": UpdateShape(counters=1, timestamps=1, amounts=(AmountShape("duration", "histogram"),)),
    "by_values": UpdateShape(counters=2, amounts=(AmountShape("cost"),), field_names=("rows", "cost")),
    "shared_cells": UpdateShape(
        counters=1, timestamps=1, amounts=(AmountShape("duration", "histogram"),), shared_cells=True
    ),
    "joined": UpdateShape(
        amounts=(
            AmountShape("tokens", number="int", minimum=0),
            AmountShape("tokens", "histogram", "int", 0, is_joined=True),
            AmountShape("cost"),
        )
    ),
    "exponential_buckets": UpdateShape(amounts=(AmountShape("duration", "native"),)),
    "together": UpdateShape(
        counters=1,
        amounts=(
            AmountShape("cost", "counter", "float", 0.0, 1e6, is_together=True),
            AmountShape("rest", "counter", "float", 0.0, 1e6, is_together=True),
            AmountShape("rows"),
            AmountShape("tokens", "counter", "int", 0, 10**9, is_together=True),
            AmountShape("tokens", "histogram", "int", 0, 10**9, is_joined=True, is_together=True),
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
        f"1 counter, 1 timestamp, duration:histogram {ANY}",
        f"2 counters, 0 timestamps, cost:counter {ANY}, by values of (rows, cost)",
        f"1 counter, 1 timestamp, duration:histogram {ANY}, in shared cells",
        "0 counters, 0 timestamps, tokens:counter of int from 0 below 9.223372036854776e+18,"
        f" joined tokens:histogram of int from 0 below 9.223372036854776e+18, cost:counter {ANY}",
        f"0 counters, 0 timestamps, duration:native {ANY}",
        "1 counter, 0 timestamps, cost:counter of float from 0.0 below 1000000.0 together,"
        f" rest:counter of float from 0.0 below 1000000.0 together, rows:counter {ANY},"
        " tokens:counter of int from 0 below 1000000000 together,"
        " joined tokens:histogram of int from 0 below 1000000000 together, span of call_id,"
        " by each of (tokens, cost, rows, call_id), rest is derive_rest(cost_)",
    ]


def test_a_traceback_shows_the_line_of_the_generated_code() -> None:
    update = generate_update_function(UpdateShape(amounts=(AmountShape("duration", "histogram"),)))(
        slow_path=None, sum0=None, bounds0=[], buckets0=[]
    )
    linecache.checkcache()  # as every traceback does: it drops the entries of files that changed
    with pytest.raises(AttributeError) as caught:
        update(SimpleNamespace(duration=0.5))
    last = traceback.extract_tb(caught.value.__traceback__)[-1]
    assert last.filename == f"<metrics update 0 counters, 0 timestamps, duration:histogram {ANY}>"
    assert last.line == "sum0._value = sum0._value + duration_"


if __name__ == "__main__":
    for name, shape in SHAPES.items():
        (GOLDEN / f"{name}.py.txt").write_text(source(shape))
