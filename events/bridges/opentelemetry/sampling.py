"""Sampling: a span that a sampler drops reaches no span processor, and its call is not counted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from opentelemetry.sdk.trace.sampling import Sampler
else:
    Sampler = object  # the SDK's is imported by few who import this

PROBES = 100
"""Spans that a sampler is asked about."""


class RecordingSampler(Sampler):  # type: ignore[misc]  # of a module that is not in every environment
    """A sampler that has spans recorded which another one drops, for span processors alone: no exporter sends them.

    The SDK's ``AlwaysRecordSampler`` does so too, but the spans lose the attributes that they started with: what they
    are of.

    Args:
        root: The sampler that decides which spans are exported.
    """

    def __init__(self, root: Any) -> None:
        self.root = root

    def should_sample(  # noqa: PLR0917  # the signature is the SDK's
        self,
        parent_context: Any,
        trace_id: int,
        name: str,
        kind: Any = None,
        attributes: Mapping[str, Any] | None = None,
        links: Sequence[Any] | None = None,
        *others: Any,
        **named: Any,
    ) -> Any:
        """Return what the other sampler decides, but have a span recorded that it drops."""
        from opentelemetry.sdk.trace.sampling import Decision, SamplingResult  # who samples has it

        result = self.root.should_sample(parent_context, trace_id, name, kind, attributes, links, *others, **named)
        if result.decision is not Decision.DROP:
            return result
        kept = {**(attributes or {}), **(result.attributes or {})}
        return SamplingResult(Decision.RECORD_ONLY, kept, result.trace_state)

    def get_description(self) -> str:
        """Return the name of this sampler and the description of the other one."""
        return f"RecordingSampler{{{self.root.get_description()}}}"


def sampling_fault(tracer_provider: Any) -> str | None:
    """Return why calls of a provider's tracers would not be counted, with the way out; None where all are.

    Its sampler is asked about some spans without a parent, so what it does to those of a remote parent, which another
    service may not have sampled, is not found.
    """
    from opentelemetry.sdk.trace.sampling import Decision  # whoever has a provider has it

    sampler = getattr(tracer_provider, "sampler", None)
    if sampler is None:
        return None
    step = 2**64 // PROBES
    halves = [number * step + step // 2 for number in range(PROBES)]  # a sampler may look at either half of an id
    # An empty context, since that of the running code may have a span.
    decisions = [sampler.should_sample({}, half << 64 | half, "chat").decision for half in halves]
    dropped = decisions.count(Decision.DROP)
    if not dropped:
        return None
    return (
        f"the sampler {sampler.get_description()} drops {dropped / PROBES:.0%} of all spans, and calls with them: pass"
        " TracerProvider(sampler=RecordingSampler(...)) with it, which records them and exports no more"
    )
