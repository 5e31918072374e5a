"""Retrievers of LangChain are lookups; of one that asks others, the outermost is."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from events import DocumentsRetrieved, agent_run, documents_retrieved
from events.bridges.langchain import instrument

pytestmark = [pytest.mark.slow, pytest.mark.models("langchain_core")]


def lookups(*runs: Any) -> list[DocumentsRetrieved]:
    """Return what is emitted while LangChain is instrumented and these functions are called."""
    with documents_retrieved.captured() as told, instrument():
        for run in runs:
            run()
    return told


def retriever(inner: Any = None) -> Any:
    """Return a retriever that finds two documents, or what another one finds, or fails."""
    from langchain_core.documents import Document
    from langchain_core.retrievers import BaseRetriever

    class Handbook(BaseRetriever):  # type: ignore[misc]  # it has no types here
        def _get_relevant_documents(self, query: str, *, run_manager: Any) -> list[Any]:
            if query == "fail":
                raise ValueError("secret")
            if inner is None:
                return [Document("a"), Document("b")]
            found: list[Any] = inner.invoke(query, {"callbacks": run_manager.get_child()})
            return found

    return Handbook()


def test_a_lookup_has_its_documents_and_its_agent() -> None:
    found = retriever()
    with agent_run(agent_name="support"):
        told = lookups(lambda: found.invoke("x"), lambda: asyncio.run(found.ainvoke("x", {"run_name": "manual"})))
    assert [(each.data_source, each.status, each.documents) for each in told] == [
        ("Handbook", "success", 2), ("manual", "success", 2),
    ]  # fmt: skip
    assert {each.agent_name for each in told} == {"support"}
    assert all(each.duration > 0 for each in told)


def test_a_lookup_that_fails_found_nothing() -> None:
    def fail() -> None:
        with pytest.raises(ValueError, match="secret"):
            retriever().invoke("fail")

    [told] = lookups(fail)
    assert (told.status, told.error, told.documents) == ("error", "ValueError", None)
    assert "secret" not in repr(told)


def test_a_lookup_by_another_one_is_one() -> None:
    assert len(lookups(lambda: retriever(retriever()).invoke("x"))) == 1


def test_a_retriever_of_a_vector_store_has_the_name_of_the_store() -> None:
    from langchain_core.documents import Document
    from langchain_core.vectorstores import VectorStore

    class Shelf(VectorStore):  # type: ignore[misc]  # the same
        @classmethod
        def from_texts(cls, texts: Any, embedding: Any, metadatas: Any = None, **more: Any) -> Any:
            return cls()

        def similarity_search(self, query: str, k: int = 4, **more: Any) -> list[Any]:
            return [Document("a")] * k

    [told] = lookups(lambda: Shelf().as_retriever(search_kwargs={"k": 3}).invoke("a"))
    assert (told.data_source, told.documents) == ("Shelf", 3)
