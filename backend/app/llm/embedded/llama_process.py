"""The process of the embedded model: ``python -m app.llm.embedded.llama_process``, with options as a line of JSON.

llama.cpp holds Python's global interpreter lock while it loads a model, and aborts its process when an assertion fails.
So it runs in a process of its own, which lives as long as its standard input is open. Its owner holds the other end, so
the process ends with its owner, even when that is killed with SIGKILL.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from typing import Any


def main() -> None:
    """Serve until standard input ends; write the URL, or the error, as one line of JSON to standard output."""
    # A terminal's Ctrl-C and systemd's stop reach every process of the studio. The model has to outlive them until the
    # studio has dealt with its runs: only its owner stops it.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    options = json.loads(sys.stdin.readline())
    try:
        import xllamacpp  # type: ignore[import-untyped]  # here: it may be missing or not work on this machine

        server = xllamacpp.Server(server_parameters(xllamacpp, **options))
    except Exception as error:
        _reply({"error": f"{type(error).__name__}: {error}".strip()})
        raise SystemExit(1) from None
    _reply({"url": server.listening_address})
    sys.stdin.read()
    os._exit(0)  # the interpreter's own exit would wait for a generation in progress


def server_parameters(
    xllamacpp: Any, *, model: str, alias: str, key: str, slots: int, window: int, threads: int, port: int
) -> Any:
    """Return llama.cpp's parameters: a few short conversations at once, no log, and no access without the key."""
    params = xllamacpp.CommonParams()
    params.model.path = model
    params.model_alias = {alias}
    params.hostnames = ["127.0.0.1"]
    params.port = port
    params.api_keys = [key]  # else every user of this machine, and every page in its browser, could ask the model
    params.cors_origins = ""
    params.n_parallel = slots
    params.n_ctx = slots * window
    params.cpuparams.n_threads = threads
    params.cpuparams_batch.n_threads = threads
    params.fit_params = False  # sizes are set here, not by the memory that happens to be free
    params.cache_ram_mib = 0  # by default it caches up to 8 GB of old prompts
    params.cache_idle_slots = False
    params.verbosity = -1  # its log would go to standard error, prompts included at the debug level
    params.ui = False
    params.endpoint_slots = False  # would show prompts
    params.endpoint_metrics = True  # the number of requests in progress
    return params


def _reply(message: dict[str, str]) -> None:
    print(json.dumps(message), flush=True)  # noqa: T201  # the owner reads standard output


if __name__ == "__main__":
    main()
