"""Engines of SQLAlchemy and clients of models, instrumented by the bridge for what each of them is.

An object says itself of which library it is, by the modules of its class. So no library is imported that the program
has not imported, and the bridges are found by name: none of them is needed where there is nothing for it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack
from importlib import import_module
from types import ModuleType
from typing import Any

from events import bridges

from .shared_handles import Undo, acquire

CLIENTS = ("openai", "anthropic", "pydantic_ai")
"""The libraries whose clients or models can be given, by the names of their packages and of their bridges."""

WITHOUT_OBJECT = {
    "agents": "openai_agents",
    "langchain": "langchain",
    "langchain_core": "langchain",
    "litellm": "litellm",
    "mcp": "mcp",
}
"""The bridges that take no object, by the packages of objects that they are for."""


def packages_of(value: object) -> list[str]:
    """Return the top-level packages that the classes of an object are defined in, or that a module is in."""
    if isinstance(value, ModuleType):
        return [value.__name__.partition(".")[0]]
    return [cls.__module__.partition(".")[0] for cls in type(value).__mro__]


def engines_by_name(engine: object) -> Mapping[str, object]:
    """Return engines by their names; a single one is ``main``.

    Raises:
        TypeError: There is something else than engines of SQLAlchemy.
    """
    engines = engine if isinstance(engine, Mapping) else {} if engine is None else {"main": engine}
    for name, each in engines.items():
        if not hasattr(getattr(each, "sync_engine", each), "dialect") or "sqlalchemy" not in packages_of(each):
            raise TypeError(
                f"engine: {name!r} is no engine of SQLAlchemy: {each!r:.80}. Pass what create_engine() or"
                " create_async_engine() returned, or several by their names: engine={'main': ..., 'reports': ...}"
            )
    return engines


def libraries_of(clients: Iterable[object]) -> list[tuple[object, str]]:
    """Return each client with the library whose bridge is for it.

    Raises:
        TypeError: There is no bridge for one of them.
    """
    if isinstance(clients, str | bytes | Mapping) or not isinstance(clients, Iterable):
        raise TypeError(f"clients takes several: write clients=[...], not {clients!r:.80}")
    return [(client, library_of(client)) for client in clients]


def library_of(client: object) -> str:
    """Return the library whose bridge is for a client.

    Raises:
        TypeError: There is none.
    """
    packages = packages_of(client)
    found = None if isinstance(client, ModuleType) else next((each for each in CLIENTS if each in packages), None)
    if found == "pydantic_ai":
        bridge = import_module(f"{bridges.__name__}.pydantic_ai.instrument_in_place")
        bridge.check_arguments(bridge.model_of(client), None)
    if found is not None:
        return found
    name = f"{type(client).__module__}.{type(client).__qualname__}"
    other = next((WITHOUT_OBJECT[package] for package in packages if package in WITHOUT_OBJECT), None)
    if other == "langchain" and hasattr(type(client), "embed_documents"):
        raise TypeError(
            f"clients: {name} has no callbacks that tell of embeddings: give the clients of the SDK that it asks by, as"
            " clients=[client] of OpenAIEmbeddings(client=client.embeddings)"
        )
    if other is not None:
        raise TypeError(
            f"clients: {name} need not be given: call instrument() of {bridges.__name__}.{other}, which is for all"
            " that its library asks"
        )
    raise TypeError(
        f"clients: nothing is known of {client!r:.80}, a {name}. There may be clients of openai and anthropic, and"
        " models and agents of pydantic-ai; other libraries have bridges of their own, see docs/models.md"
    )


def instrument_engines(engines: Mapping[str, object], metadata: Any) -> ExitStack:
    """Instrument engines, each under its name, and return what undoes it."""
    return undo_all(instrument_engine(engine, name, metadata) for name, engine in engines.items())


def instrument_engine(engine: Any, name: str, metadata: Any) -> Undo:
    """Instrument an engine under a name."""
    bridge = import_module(f"{bridges.__name__}.sqlalchemy")
    return acquire(
        getattr(engine, "sync_engine", engine),
        lambda: bridge.instrument(engine, name, metadata).close,
        lambda: bridge.is_instrumented(engine),
    )


def instrument_clients(clients: Iterable[tuple[object, str]]) -> ExitStack:
    """Instrument clients of models by the bridges of their libraries, and return what undoes it."""
    return undo_all(instrument_client(client, library) for client, library in clients)


def instrument_client(client: object, library: str) -> Undo:
    """Instrument a client by the bridge of its library."""
    if library == "pydantic_ai":
        bridge = import_module(f"{bridges.__name__}.pydantic_ai.instrument_in_place")
        model = bridge.model_of(client)
        return acquire(model, lambda: bridge.instrument_in_place(model).undo, lambda: bridge.is_instrumented(model))
    bridge = import_module(f"{bridges.__name__}.{library}")
    return acquire(client, lambda: bridge.instrument(client).undo, lambda: bridge.is_instrumented(client))


def undo_all(undoing: Iterator[Undo]) -> ExitStack:
    """Return a stack of what is to be undone; where making it fails, what was done before is undone at once."""
    with ExitStack() as stack:
        for undo in undoing:
            stack.callback(undo)
        return stack.pop_all()
