"""The value of one sample of a registry, by its name and labels; a name or a label that there is not is an error."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Summary
from prometheus_client.metrics_core import Metric as Family

from ..fastpath.children import label_names_of
from ..fastpath.write import registered_collectors
from ..subscription.series import HiddenUntilSet
from .project_registry import missing_rows

SUFFIXES: Mapping[str, tuple[str, ...]] = {
    "counter": ("_total", "_created"),
    "histogram": ("_count", "_sum", "_bucket", "_created"),
    "gaugehistogram": ("_gcount", "_gsum", "_bucket"),
    "summary": ("", "_count", "_sum", "_created"),
    "info": ("_info",),
}
"""The ends of the names of a family's samples, by its type; that of the family alone for the others."""


class UnknownSample(LookupError):
    """A registry has no sample of this name, or none with these labels' names; the message has those that it has."""


@dataclass(frozen=True, slots=True)
class SampleValue:
    """A function that returns the value of a sample.

    Attributes:
        registry: The registry that is read.
        namespace: The first word of its names, which may be left out.
    """

    registry: CollectorRegistry
    namespace: str = ""

    def __call__(
        self, name: str, labels: Mapping[str, object] | None = None, *, registry: CollectorRegistry | None = None
    ) -> float | None:
        """Return the value of the sample of this name and these labels, as the next scrape has it.

        Args:
            name: As in ``/metrics``, such as ``acme_orders_total``; without the namespace too, as ``orders_total``.
            labels: All labels of the sample; what is no text is written as one.
            registry: Another registry than that of the test.

        Returns:
            None where no event has had these values yet.

        Raises:
            UnknownSample: there is no such name, or it has other labels.
        """
        read = self.registry if registry is None else registry
        families = list(read.collect())
        known = [*sample_names(families)]
        found = next((full for full in (name, f"{self.namespace}_{name}") if full in known), None)
        if found is None:
            alike = get_close_matches(name, known, n=3) or get_close_matches(f"{self.namespace}_{name}", known, n=3)
            there = f"did you mean {' or '.join(alike)}?" if alike else f"it has {', '.join(known[:5]) or 'nothing'}"
            raise UnknownSample(f"the registry has no {name!r}: {there}{missing_rows.get(read, '')}")
        wanted = {label: str(value) for label, value in (labels or {}).items()}
        samples = [sample for family in families for sample in family.samples if sample.name == found]
        for sample in samples:
            if sample.labels == wanted:
                return sample.value
        declared = declared_labels(read, found)
        known_labels = [[*sample.labels] for sample in samples] or ([] if declared is None else [declared])
        if known_labels and not any({*labels} == wanted.keys() for labels in known_labels):
            if not known_labels[0]:
                raise UnknownSample(f"{found} has no labels, so {', '.join(wanted)} is to be left out")
            has = ", ".join(known_labels[0])
            raise UnknownSample(f"{found} has other labels than {', '.join(wanted) or 'none'}: name each of {has}")
        return None


def declared_labels(registry: CollectorRegistry, sample: str) -> list[str] | None:
    """Return the names of the labels of a sample that no event has had yet; None where nothing declares them."""
    for collector, names in registered_collectors(registry) or ():
        if sample not in names:
            continue
        if isinstance(collector, HiddenUntilSet):
            return []
        if isinstance(collector, (Counter, Gauge, Histogram, Summary)):
            bounds = ["le"] if isinstance(collector, Histogram) and sample.endswith("_bucket") else []
            return [*label_names_of(collector), *bounds]
    return None


def sample_names(families: Iterable[Family]) -> Iterator[str]:
    """Yield the names that samples of these families have, or will have."""
    for family in families:
        yield from dict.fromkeys(
            [
                *(family.name + suffix for suffix in SUFFIXES.get(family.type, ("",))),
                *(sample.name for sample in family.samples),
            ]
        )
