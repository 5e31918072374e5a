"""The tables of ``docs/cost.md``, from what was measured; everything else on the page is written by hand."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from benchmarks.report import as_table

from .figures import Figures
from .stores import Stored

PAGE = Path(__file__).parents[2] / "docs" / "cost.md"
DAY = 24 * 60 * 60
INTERVAL = 15  # seconds between scrapes, as monitoring/prometheus.yml has it
INSTANCES = (1, 100, 10_000)
DOLLARS = 6.5
"""Of a thousand active series a month, as the page says where from."""
SCRAPED_AS = {"classic": "text", "custom buckets": "text", "native": "protobuf", "native and classic": "protobuf"}
"""The format that is scraped for what is stored."""
NAMES = {"text": "text 0.0.4", "openmetrics": "OpenMetrics 1.0", "protobuf": "Protocol Buffers, with native histograms"}


def write_page(figures: Figures) -> Path:
    """Write each table between its marks, and return the page's path."""
    PAGE.write_text(with_tables(PAGE.read_text(), figures))
    return PAGE


def with_tables(page: str, figures: Figures) -> str:
    """Return the page with these figures in its tables.

    Raises:
        ValueError: a table has no place in it.
    """
    for name, table in tables(figures).items():
        marked = re.compile(rf"(<!-- {name}: [^\n]*-->\n).*?(?=<!-- end -->)", re.DOTALL)
        page, places = marked.subn(lambda found: f"{found[1]}\n{table}\n", page)  # noqa: B023  # it is called at once
        if places != 1:
            raise ValueError(f"docs/cost.md has {places} places for its table {name!r}, and not one")
    return page


def tables(figures: Figures) -> dict[str, str]:
    """Return each table by the name of its place."""
    return {
        "scrape": as_table(("format", "bytes", "gzipped", "MB a day, gzipped"), scrape_rows(figures)),
        "stores": as_table(STORE_HEAD, map(store_row, figures.stored)),
        "sizes": as_table(SIZE_HEAD, size_rows(figures)),
        "quantiles": as_table(
            ("observed", *(f"{each.program}: {each.job}" for each in figures.quantiles)), quantile_rows(figures)
        ),
    }


STORE_HEAD = (
    "program", "histograms", "measured on", "series of an instance", "MB of memory of an instance",
    "processor ms a scrape", "bytes a sample on disk", "bytes of index a series",
)  # fmt: skip


def store_row(stored: Stored) -> Sequence[str]:
    """Return the row of what one store needs."""
    return (
        stored.program, stored.variant, stored.date, f"{stored.series:,.0f}",
        f"{stored.series * stored.memory / 1e6:.1f}", f"{stored.series * stored.processor / 1e3:.1f}",
        f"{stored.chunk:.1f}", f"{stored.index:.0f}",
    )  # fmt: skip


def scrape_rows(figures: Figures) -> Iterable[Sequence[str]]:
    """Yield the row of each format."""
    for name, size in figures.scrapes.items():
        yield NAMES[name], f"{size.plain:,}", f"{size.gzip:,}", shown(size.gzip * DAY / INTERVAL / 1e6)


SIZE_HEAD = (
    "instances",
    "histograms",
    "series",
    "MB/s scraped",
    "GB of memory",
    "GB a day on disk",
    "$ a month, hosted",
)


def size_rows(figures: Figures) -> Iterable[Sequence[str]]:
    """Yield what some numbers of instances need, as the newest program needs it."""
    for instances in INSTANCES:
        for variant in ("classic", "custom buckets", "native"):
            stored = figures.of(variant)
            series = instances * stored.series
            scraped = instances * figures.scrapes[SCRAPED_AS[variant]].gzip / INTERVAL
            disk = series * (stored.chunk * DAY / INTERVAL + stored.index)
            dollars = shown(series / 1000 * DOLLARS) if variant == "classic" else "see below"
            yield (
                f"{instances:,}", variant, shown(series), shown(scraped / 1e6), shown(2 * series * stored.memory / 1e9),
                shown(disk / 1e9), dollars,
            )  # fmt: skip


def quantile_rows(figures: Figures) -> Iterable[Sequence[str]]:
    """Yield the row of each kind of observations: how far off the worst quantile is."""
    for kind in figures.quantiles[0].errors if figures.quantiles else ():
        yield kind, *(f"{each.errors[kind]:.1%}" for each in figures.quantiles)


def shown(value: float) -> str:
    """Return a number with two digits that count."""
    rounded = float(f"{value:.2g}")
    return f"{rounded:,.0f}" if rounded >= 10 or rounded.is_integer() else f"{rounded:g}"
