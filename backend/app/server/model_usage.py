"""The usage of the embedded model's process, from the supervisor, which owns it, to a worker, which counts it.

One worker gets it, so that the sum over all workers is what the process used: a line of JSON on its standard input.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict

from app.llm.embedded.process_usage import ProcessUsage
from app.llm.embedded.server import emit_usage


def usage_line(usage: ProcessUsage) -> bytes:
    """Return what a process uses as a line, with its line break."""
    return json.dumps(asdict(usage)).encode() + b"\n"


class UsageLines:
    """Emits the lines that come in pieces of any size."""

    def __init__(self, emit: Callable[[ProcessUsage], None] = emit_usage) -> None:
        self._emit = emit
        self._rest = b""

    def feed(self, piece: bytes) -> None:
        """Emit each line that is complete with this piece."""
        *lines, self._rest = (self._rest + piece).split(b"\n")
        for line in lines:
            self._emit(ProcessUsage(**json.loads(line)))
