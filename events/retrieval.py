"""Events of retrieval: what was looked up for an agent, in an index, a search engine or a database."""

from __future__ import annotations

from dataclasses import dataclass

from .bus.fields import Label, Seconds, Status, inherited
from .bus.signal import Signal


@dataclass(frozen=True, slots=True, kw_only=True)
class DocumentsRetrieved:
    """Documents were looked up in a data source, successfully or not.

    ``documents`` is how many were found, after reranking if there is one; None where it failed.
    """

    data_source: Label
    status: Status
    duration: Seconds
    documents: int | None = None
    error: str = ""
    agent_name: Label = inherited()
    workflow_type: Label = inherited()
    run_id: str = inherited("")


documents_retrieved = Signal(DocumentsRetrieved)
