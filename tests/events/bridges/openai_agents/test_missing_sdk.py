"""Without the SDK, the bridge names the package that it needs: the module has another name."""

from __future__ import annotations

import sys

import pytest

from events.bridges import openai_agents


def test_without_the_sdk_its_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "agents", None)
    with pytest.raises(ModuleNotFoundError, match="pip install openai-agents"):
        openai_agents.instrument()
