"""What agents look up: each use of a tool is told as `tool_called`, whoever asked for it.

An agent's plan uses its tools before the model is asked, since small models call none. A model that can is offered them
as well.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from time import perf_counter

from pydantic_ai import RunContext, Tool

from events import tool_called
from events.bus.failures import error_location
from events.bus.span import outcome_of

from .phase_timer import PhaseTimer
from .schemas import Library

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ToolContext:
    """What a tool may use: the library, for one brand; and the clock that its use is counted by."""

    library: Library
    brand: str
    phases: PhaseTimer = field(default_factory=PhaseTimer)


class ToolFailed(Exception):
    """A tool failed; the message names it and the kind of failure."""


async def brand_facts(desk: ToolContext) -> str:
    """Look up what is known of the brand: description, audience, tone."""
    return await desk.library.brand_facts(desk.brand)


async def earlier_copy(desk: ToolContext) -> str:
    """Look up what was written for the brand before."""
    return "\n".join(await desk.library.earlier_copy(desk.brand))


TOOLS: dict[str, Callable[[ToolContext], Awaitable[str]]] = {"brand_facts": brand_facts, "earlier_copy": earlier_copy}


async def use(name: str, desk: ToolContext) -> str:
    """Run a tool and tell it.

    Raises:
        ToolFailed: it failed.
    """
    failure: BaseException | None = None
    began = perf_counter()
    try:
        with desk.phases.of("tool"):
            return await TOOLS[name](desk)
    except Exception as error:
        failure = error
        log.warning("tool %s failed with %s at %s", name, type(error).__name__, error_location(error))
        raise ToolFailed(f"the tool {name} failed ({type(error).__name__})") from error
    except BaseException as error:
        failure = error
        raise
    finally:
        tool_called.emit(
            tool_name=name,
            status=outcome_of(failure),
            duration=perf_counter() - began,
            error=type(failure).__name__ if failure else "",
        )


def offered(name: str) -> Tool[ToolContext]:
    """Make a tool something that a model can call."""

    async def call(context: RunContext[ToolContext]) -> str:
        return await use(name, context.deps) or "nothing is stored"

    return Tool(call, takes_ctx=True, name=name, description=TOOLS[name].__doc__)
