"""OpenTelemetry spans of the events of `events`: the only package beside its bridge that knows OpenTelemetry.

>>> from events import agent_run, llm_called
>>> from traces import trace_events
>>> with trace_events(), agent_run(agent_name="writer"):  # invoke_agent writer, with chat gpt-5 inside
...     llm_called.emit(model="gpt-5", provider="openai", status="success", duration=0.8)

`trace_events` is a listener: workflow runs, agents, model calls, attempts, tools and requests become spans of whatever
tracer provider the process has, with the names of OpenTelemetry's conventions for GenAI and without a prompt or an
answer. `TraceContextMiddleware` has the spans of a request hang under the ``traceparent`` that it came with, and
`current_exemplar` is what `metrics.Subscription.add_exemplars` takes. It needs opentelemetry-api alone; without an SDK
nothing is recorded.
"""

from .asgi import TraceContextMiddleware
from .exemplars import current_exemplar
from .listener import Tracing, trace_events

__all__ = ["TraceContextMiddleware", "Tracing", "current_exemplar", "trace_events"]
