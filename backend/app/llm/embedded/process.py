"""The process around the embedded model: ``python -m app.llm.embedded.process``; takes its options as a line of JSON.

llama.cpp holds Python's global lock for as long as it loads a model, and an assertion that fails in it ends its
process: so it gets a process of its own. That process lives as long as its standard input is open. Whoever started it
holds the other end, so it ends with its owner, even one that is killed with -9.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from typing import Any


def main() -> None:
    """Serve until standard input ends; say where, or what went wrong, in one line of JSON on standard output."""
    # A terminal's Ctrl-C and systemd's stop reach every process of the studio. The model has to outlive them until the
    # studio has seen to its runs: its owner alone stops it.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    options = json.loads(sys.stdin.readline())
    try:
        import xllamacpp  # type: ignore[import-untyped]  # here: it may be missing or not fit this machine

        server = xllamacpp.Server(parameters(xllamacpp, **options))
    except Exception as error:
        tell({"error": f"{type(error).__name__}: {error}".strip()})
        raise SystemExit(1) from None
    tell({"url": server.listening_address})
    sys.stdin.read()
    os._exit(0)  # not by way of the interpreter's end, which would wait for a generation under way


def parameters(
    xllamacpp: Any, *, model: str, alias: str, key: str, slots: int, window: int, threads: int, port: int
) -> Any:
    """Set llama.cpp up for a few short conversations at once, silent, and open to the key's holder alone."""
    given = xllamacpp.CommonParams()
    given.model.path = model
    given.model_alias = {alias}
    given.hostnames = ["127.0.0.1"]
    given.port = port
    given.api_keys = [key]  # else every user of this machine and every page in its browser could ask the model
    given.cors_origins = ""
    given.n_parallel = slots
    given.n_ctx = slots * window
    given.cpuparams.n_threads = threads
    given.cpuparams_batch.n_threads = threads
    given.fit_params = False  # sizes are chosen here, not by the memory that happens to be free
    given.cache_ram_mib = 0  # by default it keeps up to 8 GB of old prompts
    given.cache_idle_slots = False
    given.verbosity = -1  # its log would go to standard error, prompts included at the debug level
    given.ui = False
    given.endpoint_slots = False  # would show prompts
    given.endpoint_metrics = True  # how many requests it is working on
    return given


def tell(answer: dict[str, str]) -> None:
    """Say one thing to the owner."""
    print(json.dumps(answer), flush=True)  # noqa: T201  # standard output is the line to the owner


if __name__ == "__main__":
    main()
