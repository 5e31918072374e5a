"""The agents' tools: lookups in the library, each use of which is emitted as `tool_called`.

The tools of an agent are run before the model is asked, since small models call none. A model that can call tools is
offered them as well. What they look up is emitted as `documents_retrieved`.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from time import perf_counter

from pydantic_ai import RunContext, Tool

from events import documents_retrieved, tool_called
from events.bus.failures import error_location
from events.bus.span import outcome_of

from .schemas import Library

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ToolContext:
    """The resources of a tool: the library, and the brand to look up."""

    library: Library
    brand: str


class ToolFailed(Exception):
    """A tool failed; the message names the tool and the class of the error."""


async def brand_facts(context: ToolContext) -> str:
    """Look up what is known of the brand: description, audience, tone."""
    with retrieving("brand_facts") as found:
        facts = await context.library.brand_facts(context.brand)
        found(int(bool(facts)))
    return facts


async def earlier_copy(context: ToolContext) -> str:
    """Look up what was written for the brand before."""
    with retrieving("earlier_copy") as found:
        texts = await context.library.earlier_copy(context.brand)
        found(len(texts))
    return "\n".join(texts)


@contextmanager
def retrieving(data_source: str) -> Iterator[Callable[[int], None]]:
    """Emit `documents_retrieved` at the end of the block; yield a function that takes how many were found."""
    documents: list[int] = []
    failure: BaseException | None = None
    started = perf_counter()
    try:
        yield documents.append
    except BaseException as error:
        failure = error
        raise
    finally:
        documents_retrieved.emit(
            data_source=data_source,
            status=outcome_of(failure),
            duration=perf_counter() - started,
            documents=documents[0] if documents and failure is None else None,
            error=type(failure).__name__ if failure else "",
        )


TOOLS: dict[str, Callable[[ToolContext], Awaitable[str]]] = {"brand_facts": brand_facts, "earlier_copy": earlier_copy}


async def run_tool(name: str, context: ToolContext) -> str:
    """Run a tool and emit `tool_called`.

    Raises:
        ToolFailed: The tool raised an exception.
    """
    failure: BaseException | None = None
    started = perf_counter()
    try:
        return await _look_up(name, context)
    except ToolFailed as error:
        failure = error.__cause__
        raise
    except BaseException as error:
        failure = error
        raise
    finally:
        tool_called.emit(
            tool_name=name,
            status=outcome_of(failure),
            duration=perf_counter() - started,
            error=type(failure).__name__ if failure else "",
        )


def as_pydantic_tool(name: str) -> Tool[ToolContext]:
    """Return a tool as pydantic-ai offers it to a model; the bridge emits its uses."""

    async def call(context: RunContext[ToolContext]) -> str:
        return await _look_up(name, context.deps) or "nothing is stored"

    return Tool(call, takes_ctx=True, name=name, description=TOOLS[name].__doc__)


async def _look_up(name: str, context: ToolContext) -> str:
    """Run a tool.

    Raises:
        ToolFailed: The tool raised an exception.
    """
    try:
        return await TOOLS[name](context)
    except Exception as error:
        log.warning("tool %s failed with %s at %s", name, type(error).__name__, error_location(error))
        raise ToolFailed(f"the tool {name} failed ({type(error).__name__})") from error
