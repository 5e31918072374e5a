"""Instrumentations of OpenTelemetry, each of which writes spans of a provider of its own.

All of it is imported where it is used: few environments have it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from typing import Any
from warnings import catch_warnings, simplefilter

OPENAI = {
    "official": ("opentelemetry.instrumentation.genai.openai", "OpenAIInstrumentor"),
    "OpenInference": ("openinference.instrumentation.openai", "OpenAIInstrumentor"),
    "OpenLLMetry": ("opentelemetry.instrumentation.openai", "OpenAIInstrumentor"),
}
LANGCHAIN = {"langchain": ("openinference.instrumentation.langchain", "LangChainInstrumentor")}
"""The module and the class of each instrumentation, the innermost first."""


class Relay:
    """A span processor that passes spans on while somebody is to see them."""

    def __init__(self) -> None:
        self.processor: Any = None

    def on_start(self, span: Any, parent_context: Any = None) -> None:
        if self.processor is not None:
            self.processor.on_start(span, parent_context)

    def on_end(self, span: Any) -> None:
        if self.processor is not None:
            self.processor.on_end(span)

    def _on_ending(self, span: Any) -> None:
        pass

    def shutdown(self) -> None:
        pass


class Tracers:
    """Instrumentations that are active until `stop`; a processor sees the spans of those that it is to see.

    They are not taken off and put on again for each test: some leave proxies behind, which would pile up.
    """

    def __init__(self, instrumentors: dict[str, tuple[str, str]]) -> None:
        self._relays: dict[str, Relay] = {}
        self._instrumentors: list[Any] = []
        for name, (module, cls) in instrumentors.items():
            relay = self._relays[name] = Relay()
            provider = make_provider()
            provider.add_span_processor(relay)
            with catch_warnings():  # of what they import
                simplefilter("ignore")
                instrumentor = getattr(import_module(module), cls)()
                instrumentor.instrument(tracer_provider=provider)
            self._instrumentors.append(instrumentor)

    @contextmanager
    def seen_by(self, processor: Any, names: Sequence[str]) -> Iterator[None]:
        """Have a processor see the spans of some instrumentations inside the block."""
        for name in names:
            self._relays[name].processor = processor
        try:
            yield
        finally:
            for name in names:
                self._relays[name].processor = None

    def stop(self) -> None:
        """Take the instrumentations off."""
        for instrumentor in reversed(self._instrumentors):
            instrumentor.uninstrument()


def make_provider(**settings: Any) -> Any:
    """Return a provider of the SDK that is not the global one."""
    from opentelemetry.sdk.trace import TracerProvider

    return TracerProvider(shutdown_on_exit=False, **settings)
