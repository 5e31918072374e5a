"""LiteLLM emits while it is instrumented, wherever its functions were imported, and is its own again afterwards."""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any

import pytest

from events import llm_called
from events.bridges.litellm import instrument
from tests.support.litellm_modes import DEFAULTS
from tests.support.openai_server import OpenAIServer

from .conftest import OWN_WARNINGS, Told

pytestmark = [pytest.mark.slow, *OWN_WARNINGS]


@pytest.mark.models("litellm")
def test_a_module_that_imported_a_function_before_is_reached(server: OpenAIServer, told: Told) -> None:
    import litellm

    module = ModuleType("application")
    exec("from litellm import acompletion, completion as ask", vars(module))  # as a module does it
    sys.modules["application"] = module
    original = module.ask
    try:
        with instrument():
            assert module.ask is litellm.completion is not original
            module.ask(**DEFAULTS, api_base=server.base_url)
        assert module.ask is litellm.completion is original
        module.ask(**DEFAULTS, api_base=server.base_url)
    finally:
        del sys.modules["application"]
    assert told.call.status == "success"
    assert server.tally.requests == 2


@pytest.mark.models("litellm")
def test_a_function_that_was_kept_elsewhere_is_litellms_own_after_undo(
    litellm: Any, server: OpenAIServer, told: Told
) -> None:
    kept = litellm.completion
    handle = instrument()
    assert instrument() is handle
    handle.undo()
    handle.undo()
    kept(**DEFAULTS, api_base=server.base_url)
    assert told.called == []
    with instrument() as another:
        assert another is not handle
        litellm.completion(**DEFAULTS, api_base=server.base_url)
    assert told.call.status == "success"


@pytest.mark.models("litellm")
def test_everything_is_litellms_own_after_undo() -> None:
    import httpx
    import httpx2
    import litellm

    def parts() -> list[Any]:
        clients: list[Any] = [httpx.Client, httpx.AsyncClient, httpx2.Client, httpx2.AsyncClient]
        methods = [getattr(litellm.Router, name) for name in ("completion", "acompletion", "embedding", "aresponses")]
        functions = [litellm.completion, litellm.aresponses, litellm.arerank, litellm.embedding]
        return [*functions, *methods, *(client.send for client in clients)]

    before = parts()
    with instrument():
        assert all(now is not own for now, own in zip(parts(), before, strict=True))
    assert parts() == before


@pytest.mark.models("litellm")
def test_nothing_is_done_where_nobody_listens(litellm: Any, server: OpenAIServer, monkeypatch: Any) -> None:
    from events.bridges.litellm import observed_functions

    monkeypatch.setattr(observed_functions, "is_idle", lambda: True)
    monkeypatch.setattr(observed_functions, "claim_call", None)  # would raise
    assert litellm.completion(**DEFAULTS, api_base=server.base_url).choices
    assert not llm_called.receivers
