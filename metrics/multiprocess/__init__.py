"""Several processes, one truth: whichever worker answers a scrape shows the sums of all.

>>> workers = Workers(Path("/run/studio"))  # doctest: +SKIP
>>> subscription = subscribe(CATALOGUE, registry, workers=workers)  # doctest: +SKIP

Each worker has a file in a common folder: an array of doubles, which it alone writes, and what each of them is, as
`layout` says. `making` makes it; `page` writes it, with the `exemplars` of its numbers; `reading`, `adding` and `sums`
add all of them up before a registry is written; `archive` keeps the sums of workers that are gone; `published` does the
same for what a process tells of itself; `group` is all of this as one worker sees it.
"""

from metrics.fastpath.children import values_are_replaceable as is_supported

from .file_layout import AggregationMode
from .process_collectors import register_process_collector
from .workers import Workers

__all__ = ["AggregationMode", "Workers", "is_supported", "register_process_collector"]
