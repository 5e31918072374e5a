"""``docs/cost.md`` has the figures that were measured, and what measures them runs."""

from __future__ import annotations

import gzip
from dataclasses import replace

import pytest

from benchmarks.sizing.__main__ import measure_stores, parse
from benchmarks.sizing.figures import Figures, samples_of
from benchmarks.sizing.page import DOLLARS, PAGE, with_tables
from benchmarks.sizing.stores import variants_of
from benchmarks.sizing.studio_scrapes import Page


def test_the_tables_are_those_of_what_was_measured() -> None:
    page = PAGE.read_text()
    assert with_tables(page, Figures.read()) == page


def test_a_table_without_a_place_in_the_page_is_an_error() -> None:
    with pytest.raises(ValueError, match="has 0 places for its table 'scrape'"):
        with_tables("no table", Figures.read())


def test_each_figure_of_the_page_is_of_programs_that_were_measured_as_a_whole() -> None:
    """A studio has fewer series by native histograms, and the price is that of the text."""
    figures = Figures.read()
    for program in {each.program for each in figures.stored if each.program.startswith("Prometheus")}:
        series = {each.variant: each.series for each in figures.stored if each.program == program}
        assert series["native"] < series["classic"] / 2
    assert f"${DOLLARS:.2f} a month" in PAGE.read_text()


@pytest.mark.parametrize(
    ("version", "names", "native"),
    [
        ((2, 42, 0), ["classic", "native"], ("--enable-feature=native-histograms",)),
        (
            (3, 5, 3),
            ["classic", "custom buckets", "native", "native and classic"],
            ("--enable-feature=native-histograms",),
        ),
        ((3, 9, 0), ["classic", "custom buckets", "native", "native and classic"], ("scrape_native_histograms", True)),
    ],
)
def test_each_version_is_measured_in_the_ways_that_it_has(
    version: tuple[int, ...], names: list[str], native: tuple[object, ...]
) -> None:
    variants = {variant.name: variant for variant in variants_of(version)}
    assert [*variants] == names
    chosen = variants["native"]
    assert (chosen.flags or chosen.settings[0]) == native


def test_measuring_anew_replaces_what_was_measured_of_the_same_program() -> None:
    figures = Figures.read()
    [first, *_] = figures.stored
    text = Page("text/plain", gzip.compress(b"# HELP a b\na 1\n"))
    measured = figures.with_stores("another machine", {"text": text}, [replace(first, memory=1.0)])
    assert [each.memory for each in measured.stored if each.program == first.program] == [1.0]
    assert len(measured.stored) > 1
    assert (measured.samples, measured.scrapes["text"].plain) == (1, 15)
    [error, *_] = figures.quantiles
    assert [error] == [each for each in figures.with_quantiles([error]).quantiles if each.program == error.program]


@pytest.mark.slow
@pytest.mark.needs("prometheus")
@pytest.mark.timeout(240)
def test_a_studio_is_measured() -> None:
    """In a few seconds: memory and processor time are nothing to go by then, series and bytes are."""
    pages, stored = measure_stores(parse(["--instances", "2", "--interval", "1", "--scrapes", "12"]))
    sizes = {each.variant: each for each in stored}
    assert samples_of(pages["text"]) > 2_000
    assert len(pages["text"].body) < len(pages["text"].content()) / 4
    assert 500 < sizes["native"].series < sizes["classic"].series / 2
    assert all(0 < each.chunk < 100 and 0 < each.index < 1_000 and each.processor > 0 for each in stored)
