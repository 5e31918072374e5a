"""Have LiteLLM emit the events of its calls."""

from __future__ import annotations

import sys
from collections.abc import Callable
from threading import Lock
from types import TracebackType
from typing import Any, Self

from ...bus.after_fork import free_after_fork
from .functions import FUNCTIONS
from .observed_functions import observed_function, observed_method
from .sent_requests import observed

HTTP_LIBRARIES = ("httpx", "httpx2")
HTTP_CLIENTS = ("Client", "AsyncClient")


class InstrumentedLiteLLM:
    """LiteLLM that emits events, until `undo`; as a context manager, until the end of the block."""

    def __init__(self) -> None:
        self.is_active = False
        self._functions: dict[int, tuple[Callable[..., Any], Callable[..., Any]]] = {}
        self._methods: list[tuple[str, Any, Any]] = []  # each with its wrapper, and what the class had of its own
        self._sends: list[tuple[Any, Any, Any]] = []  # of a class of HTTP clients: its wrapper, and its own

    def undo(self) -> None:
        """Emit nothing more; the functions are LiteLLM's own again, wherever a module has them."""
        with _instrumenting:
            if self.is_active:
                self.is_active = False
                self._restore()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.undo()

    def _install(self, litellm: Any) -> None:
        router = litellm.Router
        functions = {}
        for function in FUNCTIONS:
            original = getattr(litellm, function.name, None)
            if original is not None:
                wrapper = observed_function(original, function, self)
                functions[id(original)] = original, wrapper
                self._functions[id(wrapper)] = wrapper, original
            method = getattr(router, function.name, None)
            if method is not None:
                own = vars(router).get(function.name)  # None where the Router finds it elsewhere
                wrapper = observed_method(method, function, self)
                setattr(router, function.name, wrapper)
                self._methods.append((function.name, wrapper, own))
        _replace_in_modules(functions)
        for library in HTTP_LIBRARIES:
            module = sys.modules.get(library)
            for name in HTTP_CLIENTS if module is not None else ():
                client = getattr(module, name)
                own = client.send
                client.send = observed(own)
                self._sends.append((client, client.send, own))
        self.is_active = True

    def _restore(self) -> None:
        _replace_in_modules(self._functions)
        router = sys.modules["litellm"].Router
        for name, wrapper, own in self._methods:
            if getattr(router, name) is not wrapper:  # something else wrapped it since
                continue
            if own is None:
                delattr(router, name)
            else:
                setattr(router, name, own)
        for client, wrapper, own in self._sends:
            if client.send is wrapper:
                client.send = own
        self._functions, self._methods, self._sends = {}, [], []


_instrumenting = free_after_fork(Lock())
_handles: list[InstrumentedLiteLLM] = []


def instrument() -> InstrumentedLiteLLM:
    """Have LiteLLM emit the events of its calls; where it does already, return the handle of that.

    Imports LiteLLM. A module that imported a function from it before, as in ``from litellm import completion``, is
    reached too; a function that was put elsewhere before, such as into an object or a ``partial``, is not.

    Returns:
        A handle: ``undo()`` ends it, and so does the end of a ``with`` block.

    Raises:
        ImportError: LiteLLM is not installed.
    """
    import litellm  # here, since it takes seconds to import

    with _instrumenting:
        for handle in _handles:
            if handle.is_active:
                return handle
        handle = InstrumentedLiteLLM()
        handle._install(litellm)  # noqa: SLF001  # this function makes it
        _handles[:] = [handle]
        return handle


def _replace_in_modules(replacements: dict[int, tuple[Callable[..., Any], Callable[..., Any]]]) -> None:
    """Put other functions in the place of some, by their ids, wherever a module has them under any name."""
    for module in list(sys.modules.values()):
        names = getattr(module, "__dict__", None)
        # Modules have hundreds of thousands of names: a loop over all of them would take a tenth of a second.
        if not isinstance(names, dict) or replacements.keys().isdisjoint(map(id, list(names.values()))):
            continue
        for name, value in list(names.items()):
            found = replacements.get(id(value))
            if found is not None and found[0] is value:
                names[name] = found[1]
