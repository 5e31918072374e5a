"""Labels that fill up: the series of their overflows exist at 0 before the first, and not as long as there is room."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from events import label_overflowed

from .label_limits import LabelLimiter


class FillingLabels:
    """Announces `label_overflowed` of the labels of a subscription, each once half of its room is taken.

    It does not refer to the registry, which is kept alive by nothing that it holds.

    Args:
        labels: Of each label that has a limit the limiter, the name of its field, and the metric and the label's name
            as an overflow says them.
    """

    def __init__(self, labels: Iterable[tuple[LabelLimiter, str, str, str]]) -> None:
        self._open: defaultdict[tuple[LabelLimiter, str], set[tuple[str, str]]] = defaultdict(set)
        for limiter, field, metric, label in labels:
            self._open[limiter, field].add((metric, label))
        self._filling: tuple[tuple[str, str], ...] = ()  # replaced as a whole: a scrape may be under way

    def announce_new(self) -> None:
        """Announce those that have filled up since the last time."""
        filling = [each for each in tuple(self._open) if each[0].is_filling(each[1])]
        for pair in sorted(pair for each in filling for pair in self._open.pop(each, ())):
            self._filling += (pair,)
            label_overflowed.announce(metric=pair[0], label=pair[1])

    def announce(self) -> None:
        """Announce all that have filled up, to a subscription that was made later too."""
        for metric, label in self._filling:
            label_overflowed.announce(metric=metric, label=label)
        self.announce_new()
