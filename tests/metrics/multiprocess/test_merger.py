"""The files of workers are merged cell by cell: each series has one place in the totals, whoever has it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from prometheus_client.samples import Exemplar

from metrics.multiprocess.file_layout import FamilySchema
from metrics.multiprocess.merge import HIDDEN, Merger, SeriesIndex

CALLS = FamilySchema("calls", "counter", "total", ("who",))
TOOK = FamilySchema("took", "histogram", "total", (), (1.0,))
DEPTH = FamilySchema("depth", "gauge", "livesum")
MOST = FamilySchema("most", "gauge", "max")
LAST = FamilySchema("last", "gauge", "livemostrecent")


class File:
    """A worker's file: its cells, in one layer or several, and its exemplars."""

    def __init__(self, *layers: list[float], exemplars: Any = (), intact: bool = True) -> None:
        self.path, self.layers = Path("file"), len(layers)
        self.records = self
        self.created: dict[bytes, int] = {}
        self._layers, self._exemplars, self._intact = layers, list(exemplars), intact

    def values(self, layer: int = 0) -> list[float]:
        return self._layers[layer]

    def read(self) -> Any:
        return self._exemplars, self._intact


def merger_of(
    *files: tuple[File, list[FamilySchema], bool], series: SeriesIndex | None = None
) -> tuple[Merger, SeriesIndex]:
    series = series or SeriesIndex()
    merger = Merger(series)
    for file, schemas, alive in files:
        lines = [(schema.series_line(("a",) * len(schema.labels)), schema) for schema in schemas]
        merger.index(file, lines, alive=alive)  # type: ignore[arg-type]  # as much of a reader as it uses
    return merger, series


def totals(merger: Merger, *files: Any) -> list[float]:
    return merger.merge(files).totals[1:]


def test_cells_of_one_series_are_added_wherever_they_are_in_their_files() -> None:
    one, other = File([1.0, 0.5, 2.0, 3.0]), File([0.25, 4.0, 5.0, 10.0])
    merger, series = merger_of((one, [CALLS, TOOK], True), (other, [TOOK, CALLS], True))
    assert totals(merger, one, other) == [11.0, 0.75, 6.0, 8.0]
    assert totals(merger, other) == [10.0, 0.25, 4.0, 5.0]
    merger.drop(other)  # type: ignore[arg-type]
    merger.drop(other)  # type: ignore[arg-type]
    assert totals(merger, one, other) == [1.0, 0.5, 2.0, 3.0]
    assert (series.size, series.first[CALLS.series_line(("a",))]) == (5, 1)


def test_a_dead_workers_gauges_are_hidden_unless_they_are_archived() -> None:
    live, dead = File([1.0, 5.0, 2.0, 7.0]), File([10.0, 50.0, 20.0, 7.0, 3.0])
    merger, series = merger_of((live, [DEPTH, MOST, LAST], True), (dead, [DEPTH, MOST, LAST, CALLS], False))
    merged = merger.merge([live, dead])  # type: ignore[list-item]
    assert merged.totals[1:] == [1.0, 50.0, 2.0, 3.0]
    assert merged.gauges == {1, 2, 3}
    assert HIDDEN not in series.first.values()


def test_layers_hold_what_rounding_lost() -> None:
    archive = File([1e16, 0.0], [1.0, 0.0], [0.5, 0.0])
    one = File([0.5])
    merger, _ = merger_of((archive, [CALLS], False), (one, [CALLS], True))
    merged = merger.merge([archive, one])  # type: ignore[list-item]
    assert merged.totals[1:] == [1e16 + 2]
    assert merged.parts == {1: [1e16, 1.0, 0.5, 0.5]}


def test_a_series_of_other_bounds_is_part_of_that_which_is_shown() -> None:
    """It has no place of its own, and the earliest time of both says when the series began."""
    before = FamilySchema("took", "histogram", "total", (), (0.5, 0.75, 1.0, 2.0))
    old, new = File([8.0, 1.0, 2.0, 3.0, 4.0, 5.0]), File([0.5, 2.0, 3.0])
    old.created[before.series_line(())], new.created[TOOK.series_line(())] = 10, 20
    series = SeriesIndex(shown_as=lambda schema: TOOK if schema == before else schema)
    merger, _ = merger_of((new, [TOOK], True), (old, [before], False), series=series)
    assert totals(merger, new, old) == [8.5, 8.0, 12.0]
    assert series.first.keys() == {TOOK.series_line(())}
    assert series.created == {TOOK.series_line(()): 10}


def test_a_series_that_has_no_place_is_hidden() -> None:
    series = SeriesIndex(lambda schema, _: schema is not CALLS)
    assert [series.index_of(schema.line, schema) for schema in (CALLS, TOOK, CALLS, DEPTH)] == [HIDDEN, 1, HIDDEN, 4]


def test_the_newest_exemplar_of_a_value_is_shown_by_its_place() -> None:
    def exemplar(time: float) -> Exemplar:
        return Exemplar({"trace_id": str(time)}, 1.0, time)

    one = File([1.0, 0.5, 2.0, 3.0], exemplars=[(0, exemplar(1.0)), (2, exemplar(5.0)), (9, exemplar(1.0))])
    other = File([4.0, 9.0], exemplars=[(0, exemplar(2.0)), (1, exemplar(9.0))], intact=False)
    merger, _ = merger_of((one, [CALLS, TOOK], True), (other, [CALLS, DEPTH], False))
    torn: list[Path] = []
    assert merger.exemplars([one, other], torn.append) == {1: exemplar(2.0), 3: exemplar(5.0)}  # type: ignore[list-item]
    assert torn == [Path("file")]
    assert merger.exemplars([other, one], torn.append)[1] == exemplar(2.0)  # type: ignore[list-item]
    assert merger.exemplars([File([])], torn.append) == {}  # type: ignore[list-item]
