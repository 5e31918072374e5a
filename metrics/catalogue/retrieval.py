"""Retrieval: what is looked up for agents."""

from __future__ import annotations

from events import documents_retrieved

from .. import buckets
from ..rows import counter, histogram

LABEL_LIMITS = {"data_source": 6}
"""How many values an open label takes, by its name."""

# fmt: off
RETRIEVAL = (
    counter("retrievals_total", "Lookups of documents for agents that ended.",
        documents_retrieved, labels=("data_source", "status")),
    histogram("retrieval_duration_seconds", "Time a lookup of documents took, however it ended.",
        documents_retrieved, value="duration", labels=("data_source",), buckets=buckets.RETRIEVAL),
    histogram("retrieval_documents", "Documents that a lookup found.",
        documents_retrieved, value="documents", labels=("data_source",), buckets=buckets.DOCUMENTS),
)
# fmt: on
