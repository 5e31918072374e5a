"""The figures of the process itself: ``process_*``, ``python_gc_*`` and ``python_info``."""

from __future__ import annotations

from contextlib import ExitStack, suppress

from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector, ProcessCollector
from prometheus_client.registry import Collector

from ..multiprocess import Workers, register_process_collector


def register_process_figures(registry: CollectorRegistry, workers: Workers | None = None) -> ExitStack:
    """Register the figures of the process, as sums over the workers if there are several; return what undoes it.

    Those that the registry has already, as prometheus_client's own registry has all, stay as they are.
    """
    with ExitStack() as stack:
        unused = CollectorRegistry()  # each registers with one, which is not to be ours where there are workers
        for collector in (PlatformCollector(unused), ProcessCollector(registry=unused), GCCollector(registry=unused)):
            with suppress(ValueError):  # the registry has it
                if workers is None or isinstance(collector, PlatformCollector):
                    registry.register(collector)
                    stack.callback(unregister, registry, collector)
                else:
                    stack.callback(register_process_collector(workers, registry, collector))
        return stack.pop_all()


def unregister(registry: CollectorRegistry, collector: Collector) -> None:
    """Take a collector out of a registry, if nobody has before."""
    with suppress(KeyError):
        registry.unregister(collector)
