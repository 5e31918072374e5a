"""The generated update functions: their source, letter by letter, and what a traceback shows of it.

After an intended change: ``python -m tests.metrics.fastpath.test_codegen``, then read the difference.
"""

from __future__ import annotations

import linecache
import traceback
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from metrics.fastpath.codegen import generate_update_function, shape_name, update_source

GOLDEN = Path(__file__).parent / "golden"
SHAPES: dict[str, dict[str, Any]] = {
    "one_of_each": {"counters": 1, "timestamps": 1, "amounts": (("duration", True),)},
    "by_values": {"counters": 2, "timestamps": 0, "amounts": (("cost", False),), "field_names": ("rows", "cost")},
    "shared_cells": {"counters": 1, "timestamps": 1, "amounts": (("duration", True),), "shared_cells": True},
    "joined": {
        "counters": 0,
        "timestamps": 0,
        "amounts": (("tokens", False), ("tokens", True), ("cost", False)),
        "joined": frozenset({1}),
    },
    "exponential_buckets": {"counters": 0, "timestamps": 0, "amounts": (("duration", True),), "native": frozenset({0})},
}


def source(shape: dict[str, Any]) -> str:
    return "\n".join(update_source(**{"field_names": None, "shared_cells": False, **shape})) + "\n"


@pytest.mark.parametrize("name", SHAPES)
def test_the_source_of_a_shape_is_the_recorded_one(name: str) -> None:
    assert source(SHAPES[name]) == (GOLDEN / f"{name}.py.txt").read_text()


def test_every_shape_has_a_file_name_of_its_own() -> None:
    names = [shape_name(**{"field_names": None, "shared_cells": False, **shape}) for shape in SHAPES.values()]
    assert names == [
        "<metrics update 1 counter, 1 timestamp, duration:histogram>",
        "<metrics update 2 counters, 0 timestamps, cost:counter, by values of (rows, cost)>",
        "<metrics update 1 counter, 1 timestamp, duration:histogram, in shared cells>",
        "<metrics update 0 counters, 0 timestamps, tokens:counter, joined tokens:histogram, cost:counter>",
        "<metrics update 0 counters, 0 timestamps, duration:native>",
    ]


def test_a_traceback_shows_the_line_of_the_generated_code() -> None:
    update = generate_update_function(0, 0, (("duration", True),))(
        update_unusual=None, minimum0=0.0, limit0=1.0, floor0=0, top0=1, sum0=None, bounds0=[], buckets0=[]
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
