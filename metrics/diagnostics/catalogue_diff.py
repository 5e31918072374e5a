"""Two catalogues compared: what a change does to names, labels, buckets and series, and which queries it breaks.

It is what ``python -m metrics diff`` prints of two files that ``python -m metrics --format json`` wrote.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

Family = Mapping[str, Any]
"""One family, as `metrics.diagnostics.listing.describe_families` yields it."""

SAME_THING = ("type", "labels", "help")
"""What a family keeps that only has another name."""


class ListingInvalid(ValueError):
    """A file is no listing of a catalogue; the message names it and the reason."""


@dataclass(frozen=True, slots=True)
class Change:
    """One difference. ``breaks`` is whether queries, rules or panels on the old family stop being right."""

    family: str
    text: str
    breaks: bool


def load_listing(file: str) -> list[Family]:
    """Return the families of a listing.

    Raises:
        ListingInvalid: the file cannot be read, or is something else.
    """
    name = "the standard input" if file == "-" else file
    try:
        text = sys.stdin.read() if file == "-" else Path(file).read_text("utf-8")
    except (OSError, ValueError) as error:
        raise ListingInvalid(f"{name} cannot be read: {error}") from error
    try:
        families = json.loads(text)
    except ValueError as error:
        raise ListingInvalid(f"{name} is no JSON ({error}): write it by python -m metrics --format json") from error
    needed = {"name", "type", "labels", "most_series", "help", "buckets"}
    if not isinstance(families, list) or not all(isinstance(each, dict) and needed <= each.keys() for each in families):
        raise ListingInvalid(f"{name} is no listing of a catalogue: write it by python -m metrics --format json")
    return families


def compare(old: Sequence[Family], new: Sequence[Family]) -> list[Change]:
    """Return what is different in the new catalogue: first what breaks, each by the families' names."""
    before, after = ({family["name"]: family for family in families} for families in (old, new))
    added = {name: after[name] for name in after if name not in before}
    changes = []
    for name, family in before.items():
        if name in after:
            changes += [Change(name, text, breaks) for text, breaks in differences(family, after[name])]
            continue
        same = [other for other, found in added.items() if all(found[key] == family[key] for key in SAME_THING)]
        if len(same) == 1:
            del added[same[0]]
            changes.append(Change(name, f"renamed to {same[0]}", breaks=True))
        else:
            changes.append(Change(name, "removed", breaks=True))
    changes += [Change(name, f"new: {describe(family)}", breaks=False) for name, family in added.items()]
    return sorted(changes, key=lambda change: (not change.breaks, change.family))


def describe(family: Family) -> str:
    """Return a family in a few words."""
    labels = f" by {', '.join(family['labels'])}" if family["labels"] else ""
    return f"{family['type']}{labels}, at most {family['most_series']:,} series"


def differences(old: Family, new: Family) -> Iterator[tuple[str, bool]]:
    """Yield each difference between two states of a family, and whether it breaks what is built on the old one."""
    if old["type"] != new["type"]:
        yield f"{old['type']} became {new['type']}", True
    if gone := [label for label in old["labels"] if label not in new["labels"]]:
        yield f"without label {', '.join(gone)}: what selects or groups by it finds nothing", True
    if added := [label for label in new["labels"] if label not in old["labels"]]:
        yield f"new label {', '.join(added)}: sums stay, what matches all labels finds several series", True
    if gone := [f"{bound:.12g}" for bound in old["buckets"] if bound not in new["buckets"]]:
        yield f"without bucket {', '.join(gone)}: queries of it by le find nothing", True
    if added := [f"{bound:.12g}" for bound in new["buckets"] if bound not in old["buckets"]]:
        yield f"new bucket {', '.join(added)}", False
    for key, words in (
        ("counted", "counts"),
        ("multiprocess_mode", "of several workers shows"),
        ("expires_after", "is gone after (seconds)"),
        ("at_zero_from", "is at 0 from"),
    ):
        if key in old and key in new and old[key] != new[key]:
            yield f"{words} {new[key] or 'never'!r}, before {old[key] or 'never'!r}", key == "multiprocess_mode"
    if old["most_series"] != new["most_series"]:
        yield f"at most {new['most_series']:,} series, before {old['most_series']:,}", False
    if old["help"] != new["help"]:
        yield f"described as {new['help']!r}", False


def format_changes(changes: Sequence[Change], old: Sequence[Family], new: Sequence[Family]) -> str:
    """Return changes as text for a terminal: those that break, the others, and the sums."""
    lines = []
    for title, breaks in (("Breaking", True), ("Compatible", False)):
        found = [change for change in changes if change.breaks is breaks]
        if found:
            lines += [title, *(f"  {change.family}  {change.text}" for change in found), ""]
    series = [sum(family["most_series"] for family in families) for families in (old, new)]
    broken = sum(change.breaks for change in changes)
    verdict = f"{broken} of {len(changes)} changes break queries" if broken else f"{len(changes)} changes, none breaks"
    lines.append(
        f"{verdict}; {len(old)} -> {len(new)} families, at most {series[0]:,} -> {series[1]:,} series"
        if changes
        else "no change"
    )
    return "\n".join(lines)


def format_json(changes: Sequence[Change]) -> str:
    """Return changes as a JSON list of objects."""
    return json.dumps([asdict(change) for change in changes], indent=2)
