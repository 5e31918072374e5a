"""Settings that cannot be meant are refused."""

from __future__ import annotations

from typing import Any

import pytest

from events.bridges.langchain import instrument


def test_a_name_is_no_collection_of_names() -> None:
    name: Any = "writer"
    with pytest.raises(TypeError, match=r"collection of names, not 'writer': \['writer'\]"):
        instrument(agents=name)
