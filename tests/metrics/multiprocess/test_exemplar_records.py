"""An exemplar is written as a record of one length, which a torn one is told apart from."""

from __future__ import annotations

from typing import Any
from zlib import crc32

import pytest
from prometheus_client.samples import Exemplar

from metrics.multiprocess.exemplars import (
    ExemplarStore,
    PrivateExemplars,
    decode_record,
    encode_record,
    exemplar_time,
)
from metrics.multiprocess.file_layout import RECORD_SIZE


def exemplar(name: str, time: float | None) -> Exemplar:
    return Exemplar({"trace_id": name}, 1.5, time)


@pytest.mark.parametrize(("time", "seconds"), [(5.0, 5.0), (0.0, 0.0), (None, 0.0)])
def test_an_exemplar_without_a_time_is_older_than_all_others(time: float | None, seconds: float) -> None:
    assert exemplar_time(exemplar("a", time)) == seconds


def test_a_record_is_read_back_and_a_torn_one_is_none() -> None:
    record = encode_record(7, exemplar("a", 5.0))
    assert record is not None
    assert len(record) == RECORD_SIZE
    assert decode_record(record) == (7, exemplar("a", 5.0))
    for place in (0, 1, len(record) // 2, len(record) - 1):
        assert decode_record(record[:place] + b"~" + record[place + 1 :]) is None
    assert decode_record(record[:-1]) is None


@pytest.mark.parametrize(
    "content", ["7", "[7]", '[7, {}, "x", 1]', '["x", {}, 1, 1]', "[7, [], 1, 1]", "{", "[7, {}, null, 1]"]
)
def test_a_record_that_holds_something_else_is_none(content: str) -> None:
    body = content.encode().ljust(RECORD_SIZE - 10) + b"\n"
    assert decode_record(b"#%08x" % crc32(body) + body) is None


def test_an_exemplar_that_no_scraper_may_be_shown_has_no_record() -> None:
    assert encode_record(7, Exemplar({"a": "b" * RECORD_SIZE}, 1.0, 1.0)) is None


class Records:
    """A file of records: what was written, and where."""

    def __init__(self) -> None:
        self.written: list[tuple[str, int | None]] = []

    def __call__(self, record: bytes, offset: int | None) -> int | None:
        decoded = decode_record(record)
        assert decoded is not None
        self.written.append((decoded[1].labels["trace_id"], offset))
        return 100 * decoded[0]


def test_the_newest_exemplar_of_a_cell_stays_in_its_record() -> None:
    cells, written = [0.0] * 3, Records()
    store = ExemplarStore(cells, written)
    for cell, name, time in ((1, "a", 5.0), (1, "older", 4.0), (1, "as old", 5.0), (2, "b", 1.0), (1, "c", 6.0)):
        store.put(cells, cell, exemplar(name, time))
    assert written.written == [("a", None), ("as old", 100), ("b", None), ("c", 100)]
    assert (store.get(cells, 1), store.get(cells, 2)) == (exemplar("c", 6.0), exemplar("b", 1.0))


@pytest.mark.parametrize("make", [PrivateExemplars, lambda: ExemplarStore([], Records())])
def test_a_cell_without_an_exemplar_has_none(make: Any) -> None:
    assert make().get([], 1) is None


def test_an_exemplar_of_another_array_of_cells_is_nobodys() -> None:
    cells, written = [0.0], Records()
    store = ExemplarStore(cells, written)
    store.put([0.0], 0, exemplar("elsewhere", 1.0))
    assert (written.written, store.get(cells, 0)) == ([], None)
    store.put(cells, 0, exemplar("here", 1.0))
    assert store.get([0.0], 0) is None


def test_a_process_that_counts_alone_has_the_newest_exemplar_of_each_cell() -> None:
    cells, store = [0.0], PrivateExemplars()
    for name, time in (("a", 5.0), ("older", 4.0), ("as old", 5.0)):
        store.put(cells, 0, exemplar(name, time))
    assert store.get(cells, 0) == exemplar("as old", 5.0)
    store.put(cells, 1, Exemplar({"a": "b" * RECORD_SIZE}, 1.0, 1.0))
    assert (store.get(cells, 1), store.get([0.0], 0)) == (None, None)
