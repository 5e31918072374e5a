"""The names in the kit's tables: which families an expression needs, and the application's own names in their place."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from ..rows import Metric

NAME = re.compile(r"(?:\b\w+:)?\bNS[_:][\w:]+")
SELECTOR = re.compile(rf"({NAME.pattern})(?:\{{([^}}]*)\}})?")
EQUAL = re.compile(r'(\w+)="([^"]*)"')
HISTOGRAM_SUFFIXES = ("_bucket", "_sum", "_count")


@dataclass(frozen=True, kw_only=True)
class Names:
    """The names of an application: its namespace, its scrape job, and where its runbooks are.

    Raises:
        ValueError: names of alerts, which begin with the namespace, could not begin with it.
    """

    namespace: str
    job: str = ""
    runbooks: str = "docs/runbooks"

    def __post_init__(self) -> None:
        if not self.namespace:
            raise ValueError("the kit needs a namespace: the names of its alerts and recorded series begin with it")
        if not self.alert_prefix[:1].isalpha():
            raise ValueError(
                f"namespace {self.namespace!r} cannot begin the name of an alert: it needs a letter, as acme_1 has"
            )
        if not self.job:
            object.__setattr__(self, "job", f"{self.namespace}-backend")

    @property
    def alert_prefix(self) -> str:
        """The namespace as alerts begin with it, as in SparklioDown."""
        return "".join(part.capitalize() for part in self.namespace.split("_"))

    def alert(self, name: str) -> str:
        """Return an alert's name as the rule files have it."""
        return self.alert_prefix + name

    def runbook(self, name: str) -> str:
        """Return the path or the address of an alert's runbook."""
        return f"{self.runbooks.rstrip('/')}/{self.alert(name)}.md"

    def fill(self, text: str) -> str:
        """Return a text with the application's names in place of NS, JOB and ALERT."""
        text = re.sub(r"\bNS([_:])", rf"{self.namespace}\1", text)
        text = re.sub(r"\bNS\b", self.namespace, text)
        return re.sub(r"\bALERT(?=[A-Z][a-z]|\.)", self.alert_prefix, re.sub(r"\bJOB\b", self.job, text))


def family_of(name: str, families: Iterable[str]) -> str | None:
    """Return the family that a sample's name belongs to, None where it is of none of them."""
    families = set(families)
    if name in families:
        return name
    for suffix in HISTOGRAM_SUFFIXES:
        if name.endswith(suffix) and (family := name.removesuffix(suffix)) in families:
            return family
    return None


class Available:
    """The names that expressions can use: the families of a catalogue, and the series that were recorded from these."""

    def __init__(self, catalogue: Iterable[Metric]) -> None:
        self.families = {row.name for row in catalogue}
        self.recorded: dict[str, list[Mapping[str, str]]] = {}

    def record(self, name: str, labels: Mapping[str, str]) -> None:
        """Add a recorded series with the labels that its rule gives it."""
        self.recorded.setdefault(name, []).append(labels)

    def covers(self, *texts: str) -> bool:
        """Return whether every family and every recorded series that texts name is there, with the labels they ask."""
        text = "\n".join(texts)
        families = {
            family_of(name.removeprefix("NS_"), self.families) for name in NAME.findall(text) if ":" not in name
        }
        return None not in families and all(
            self.has_recorded(match[1], dict(EQUAL.findall(match[2] or "")))
            for match in SELECTOR.finditer(text)
            if ":" in match[1]
        )

    def has_recorded(self, name: str, asked: Mapping[str, str]) -> bool:
        """Return whether a series was recorded with labels that fit those asked for."""
        return any(
            all(labels[label] == value for label, value in asked.items() if label in labels)
            for labels in self.recorded.get(name, ())
        )
