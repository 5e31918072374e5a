"""The counters of a running studio, read from its ``/metrics`` by whoever compares them with something else."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from math import fsum
from urllib.parse import urlencode, urlsplit

from prometheus_client.samples import Sample

from metrics.diagnostics.scrape_client import (
    Unreachable,
    parse_header,
    scrape_url,
    split_credentials,
    strip_credentials,
)

__all__ = ["Counters", "CountersUnreadable", "parse_header", "read_counters"]

_NAMESPACE = "sparklio_"
_START = "process_start_time_seconds"


class CountersUnreadable(Exception):
    """The counters cannot be read. The message names the reason, and nothing that may be a secret."""


@dataclass(frozen=True, slots=True)
class Counters:
    """The counters of one server, all its workers together.

    Attributes:
        address: Where they were read, without what may be a secret.
        started_at: The Unix time from which on they count.
        sent_at: The Unix time before they were read.
        received_at: The Unix time after that.
        samples: The samples that were asked for.
    """

    address: str
    started_at: float
    sent_at: float
    received_at: float
    samples: Sequence[Sample]

    def by(self, name: str, labels: Sequence[str]) -> dict[tuple[str, ...], float]:
        """Return the sums of a family, named without the namespace, by the values of some of its labels."""
        found: defaultdict[tuple[str, ...], list[float]] = defaultdict(list)
        for sample in self.samples:
            if sample.name == _NAMESPACE + name:
                found[tuple(sample.labels.get(label, "") for label in labels)].append(sample.value)
        return {key: fsum(values) for key, values in found.items()}

    def total(self, name: str, **labels: str) -> float:
        """Return the sum of the samples of a family whose labels include these; 0 without any."""
        return fsum(
            sample.value
            for sample in self.samples
            if sample.name == _NAMESPACE + name and labels.items() <= sample.labels.items()
        )


def read_counters(url: str, headers: Mapping[str, str], names: Collection[str]) -> Counters:
    """Return the counters of some families, named without the namespace, and when they began. It blocks.

    Args:
        url: The address of the metrics; a user and a password in it are sent in place of ``headers``.
        headers: What is sent along, such as a token.
        names: The families.

    Raises:
        CountersUnreadable: Nothing answers, or something without these metrics.
    """
    try:
        address, credentials = split_credentials(url)
        query = urlsplit(address).query
    except ValueError as error:
        raise CountersUnreadable(f"An address is no URL ({error}): give one as http://127.0.0.1:8000/metrics") from None
    if not query:  # the whole page takes a hundred times as long
        wanted = [("name[]", name) for name in (_START, *(_NAMESPACE + name for name in names))]
        address = f"{address}?{urlencode(wanted)}"
    shown = strip_credentials(url)
    try:
        scraped = scrape_url(address, {**headers, **credentials})
    except Unreachable as error:
        raise CountersUnreadable(str(error).replace(address, shown)) from None
    starts = [sample.value for sample in scraped.samples if sample.name == _START]
    if not starts:
        raise CountersUnreadable(f"{shown} does not say when its process started ({_START}): it does on Linux alone")
    return Counters(shown, min(starts), scraped.sent_at, scraped.received_at, scraped.samples)
