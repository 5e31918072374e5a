"""An application that serves nothing but its metrics: ``uvicorn tests.support.small_application:app``.

``SMALL_DIR`` names the folder in which its worker processes share their numbers.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from prometheus_client import CollectorRegistry, ProcessCollector

from metrics import CATALOGUE, Endpoint, Workers, process_lifespan, subscribe
from metrics.multiprocess import register_process_collector

registry = CollectorRegistry()
workers = Workers(Path(os.environ["SMALL_DIR"])) if "SMALL_DIR" in os.environ else None
subscription = subscribe(CATALOGUE, registry, namespace="sparklio", workers=workers)
if workers is None:
    ProcessCollector(registry=registry)
else:
    register_process_collector(workers, registry, ProcessCollector(registry=CollectorRegistry()))
endpoint = Endpoint(registry)


async def app(scope: Any, receive: Any, send: Any) -> None:
    """Serve the metrics; run `process_lifespan` from the server's start to its stop."""
    if scope["type"] != "lifespan":
        await endpoint(scope, receive, send)
        return
    await receive()
    with process_lifespan(workers):
        await send({"type": "lifespan.startup.complete"})
        await receive()
    await send({"type": "lifespan.shutdown.complete"})
