"""Metrics of several worker processes: whichever answers a scrape shows the totals of all.

Create `Workers` for a common folder and hand them to the subscription::

    workers = Workers(Path("/run/studio"))
    subscription = subscribe(CATALOGUE, registry, namespace="studio", workers=workers)

Each worker has a file in the folder: an array of doubles, which it alone writes, and text that says what each of them
is (`file_layout`). `file_creation` creates it, `written_file` and `shared_values` write it, with the `exemplars` of its
values; `shared_file` holds the values also where there can be no file (`folder_problems`), and `own_values` reads them
there. `file_reader`, `merge` and `aggregate` compute the totals before a registry is rendered; `archive` holds the
totals of workers that are gone; `fault_reports` reports what fails meanwhile; `process_collectors` does the same for
``process_*`` and ``python_gc_*``; `worker_group` is all of this as one worker sees it.
"""

from ..fastpath.children import values_are_replaceable as is_supported
from .file_layout import AggregationMode
from .process_collectors import register_process_collector
from .worker_group import Workers

__all__ = ["AggregationMode", "Workers", "is_supported", "register_process_collector"]
