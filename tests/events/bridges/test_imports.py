"""Importing a bridge to a model library imports no library: who does not use one does not pay for it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import events.bridges

FOLDER = Path(events.bridges.__file__).parent
OF_ITS_LIBRARY = {"pydantic_ai", "sqlalchemy"}
"""Bridges whose classes derive from their library's, which they import."""
LIBRARIES = (
    "agents", "anthropic", "genai_prices", "httpx", "httpx2", "langchain", "langchain_core", "langgraph", "litellm",
    "mcp", "openai", "opentelemetry", "pydantic", "pydantic_ai", "sqlalchemy", "starlette",
)  # fmt: skip


def test_no_bridge_imports_a_library() -> None:
    bridges = sorted(
        path.parent.name for path in FOLDER.glob("*/__init__.py") if path.parent.name not in OF_ITS_LIBRARY
    )
    assert {"asgi", "event_loop", "model_calls", "opentelemetry"} <= set(bridges)
    program = (
        "import importlib, sys\n"
        f"for name in {bridges!r}: importlib.import_module('events.bridges.' + name)\n"
        f"print([name for name in {LIBRARIES!r} if name in sys.modules])"
    )
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert ended.stdout.strip() == "[]"
