"""gzip of a page whose parts come again: any reader has the same text, and what is unchanged is compressed once."""

from __future__ import annotations

import gzip
import os
import subprocess
import zlib
from collections.abc import Callable
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Counter, Histogram

from metrics import scrape
from metrics.exposition import gzip_segments
from metrics.exposition.gzip_segments import MESSAGES, SEGMENT, STEADY, GzipSegments, compress

TEXTS = [f"# HELP a{number} b\n".encode() * (number * number * 40) for number in range(12)]


def read_once(compressed: bytes) -> bytes:
    """Return the text as a reader sees it that takes one member alone."""
    reader = zlib.decompressobj(16 + zlib.MAX_WBITS)
    text = reader.decompress(compressed)
    assert reader.eof
    assert reader.unused_data == b""
    return text


@given(st.lists(st.lists(st.sampled_from(TEXTS), max_size=9), max_size=40))
def test_every_page_is_read_as_it_was_whatever_changes(pages: list[list[bytes]]) -> None:
    segments = GzipSegments()
    for parts in pages:
        page = segments.compress(parts)
        assert read_once(page) == gzip.decompress(page) == b"".join(parts)


def test_gunzip_reads_it() -> None:
    page = GzipSegments().compress(TEXTS)
    read = subprocess.run(["gunzip", "-t"], input=page, capture_output=True, check=False)
    assert (read.returncode, read.stderr) == (0, b"")


@pytest.fixture
def deflated(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    """How many bytes were compressed, and at which level."""
    found: list[tuple[int, int]] = []
    deflate: Callable[..., bytes] = gzip_segments.deflate

    def noted(text: bytes, level: int) -> bytes:
        found.append((len(text), level))
        return deflate(text, level)

    monkeypatch.setattr(gzip_segments, "deflate", noted)
    return found


def test_parts_that_are_the_same_are_not_compressed_again(deflated: list[tuple[int, int]]) -> None:
    segments, parts = GzipSegments(), list(TEXTS)
    first = segments.compress(parts)
    assert sum(size for size, _ in deflated) == sum(map(len, parts))
    deflated.clear()
    assert segments.compress(parts) == first
    assert deflated == []


def test_what_stays_the_same_is_compressed_better_once(deflated: list[tuple[int, int]]) -> None:
    segments, random = GzipSegments(), Random(1)
    parts = [
        b"".join(b'a{b="%d"} %d\n' % (random.randrange(99), random.randrange(9)) for _ in range(99)) for _ in range(99)
    ]
    sizes = [len(segments.compress(parts)) for _ in range(2 * STEADY)]
    first = len(deflated) // 2
    assert deflated == [(size, 5) for size, _ in deflated[:first]] + [(size, 6) for size, _ in deflated[first:]]
    assert sum(size for size, _ in deflated[first:]) == sum(map(len, parts))
    assert sizes[STEADY] == sizes[-1] < sizes[0]


def test_a_part_that_changes_each_time_costs_its_segment_alone(deflated: list[tuple[int, int]]) -> None:
    segments, parts = GzipSegments(), list(TEXTS)
    for number in range(2 * STEADY):
        deflated.clear()
        parts[6] = b"%d\n" % number * 100
        assert read_once(segments.compress(parts)) == b"".join(parts)
    [(size, level)] = deflated
    assert (size <= SEGMENT, level) == (True, 5)


@pytest.mark.slow
def test_a_page_stays_as_small_as_one_compressed_anew_whatever_has_changed_and_when() -> None:
    random, registry = Random(1), CollectorRegistry()
    names, kinds = [f"{word}_{number}" for word in ("shop", "mail") for number in range(12)], "abcdef"
    counters = [Counter(f"{name}_calls", f"Calls of {name}.", ["kind", "outcome"], registry=registry) for name in names]
    histograms = [Histogram(f"{name}_seconds", f"Time of {name}.", ["kind"], registry=registry) for name in names]
    updates: list[Callable[[float], None]] = [
        counter.labels(kind, outcome).inc for counter in counters for kind in kinds for outcome in ("ok", "bad")
    ]
    updates += [histogram.labels(kind).observe for histogram in histograms for kind in kinds[:3]]
    for update in updates:
        update(random.expovariate(1))
    hot = random.sample(updates, 13)
    for moving, others in ((7, 1), (13, 40), (0, 1), (0, 0)):
        for _ in range(100):
            for update in random.sample(hot, moving) + random.sample(updates, others):
                update(random.expovariate(1))
            page = scrape(registry, "", "gzip").body
        text = read_once(page)
        assert len(page) <= 1.03 * len(compress(text))
    assert text == scrape(registry).body
    assert len(page) <= 1.1 * len(gzip.compress(text, 6))


def test_a_page_with_more_parts_is_divided_anew(deflated: list[tuple[int, int]]) -> None:
    segments = GzipSegments()
    segments.compress(TEXTS[:5])
    deflated.clear()
    parts = [*TEXTS[:5], b"more\n" * 9000]
    assert read_once(segments.compress(parts)) == b"".join(parts)
    assert [size for size, _ in deflated] == [sum(map(len, TEXTS[:5])), 45_000]


def test_a_segment_that_has_grown_is_divided_anew(deflated: list[tuple[int, int]]) -> None:
    segments = GzipSegments()
    segments.compress([b"%d\n" % number for number in range(40)])
    grown = [b"%d\n" % number * SEGMENT for number in range(40)]
    segments.compress(grown)
    deflated.clear()
    assert read_once(segments.compress(grown)) == b"".join(grown)
    assert [size for size, _ in deflated] == [len(part) for part in grown]
    deflated.clear()
    segments.compress(grown)
    assert deflated == []


def test_a_process_forked_while_a_page_is_compressed_has_segments_of_its_own(
    deflated: list[tuple[int, int]],
) -> None:
    segments = GzipSegments()
    with segments._lock:  # as another thread that compresses
        child = os.fork()
        if not child:
            try:
                segments.compress(TEXTS)
            finally:
                os._exit(0 if deflated else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_one_that_comes_while_another_compresses_has_its_page_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    segments, inner = GzipSegments(), []
    deflate: Callable[..., bytes] = gzip_segments.deflate

    def interrupted(*arguments: Any, **options: Any) -> bytes:
        inner.append(segments.compress([b"other\n"]))
        return deflate(*arguments, **options)

    monkeypatch.setattr(gzip_segments, "deflate", interrupted)
    assert read_once(segments.compress([b"one\n"])) == b"one\n"
    assert [read_once(page) for page in inner] == [b"other\n"]


def test_scrapes_compress_what_has_changed_since_the_last(deflated: list[tuple[int, int]]) -> None:
    registry = CollectorRegistry()
    moving = Counter("moving", "h", registry=registry)
    for number in range(120):
        took = Histogram(f"took{number}_seconds", "h", ["who"], registry=registry)
        took.labels("a").observe(1)
    for accept in ("", "application/openmetrics-text;version=1.0.0"):
        for _ in range(STEADY + 1):
            moving.inc()
            response = scrape(registry, accept, "gzip")
            assert gzip.decompress(response.body) == scrape(registry, accept).body
        deflated.clear()
        moving.inc()
        scrape(registry, accept, "gzip")
        [(size, _)] = deflated
        assert size <= SEGMENT < len(gzip.decompress(response.body)) / 2


def test_messages_are_compressed_from_more_at_a_time(deflated: list[tuple[int, int]]) -> None:
    registry = CollectorRegistry()
    for number in range(120):
        took = Histogram(f"took{number}_seconds", "Time that it took." * 10, ["who"], registry=registry)
        took.labels("a").observe(1)
    accept = "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited"
    for _ in range(STEADY + 1):
        page = scrape(registry, accept, "gzip").body
    assert read_once(page) == scrape(registry, accept).body
    assert deflated == [(len(read_once(page)), 7)]
    assert SEGMENT < deflated[0][0] < MESSAGES.size


def test_selected_names_are_no_page_that_comes_again(deflated: list[tuple[int, int]]) -> None:
    registry = CollectorRegistry()
    Counter("calls", "h", registry=registry).inc()
    response = scrape(registry, "", "gzip", ["calls_total"])
    assert b"calls_total 1.0" in gzip.decompress(response.body)
    assert deflated == []
