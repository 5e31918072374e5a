"""The rows that a catalogue of rows and names of groups stands for."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from ..catalogue import GROUPS, PIPELINE
from ..rows import Metric


def named_rows(catalogue: Iterable[Metric | str], *, with_pipeline: bool = True) -> tuple[Metric, ...]:
    """Return the rows, with those of a group in place of each name.

    Args:
        catalogue: Rows, and names of groups, such as ``("http", "llm")``; one name alone will do.
        with_pipeline: Whether the rows of the pipeline's own health are added where there is a name and they are not.

    Raises:
        TypeError: There is something else.
        ValueError: There is no group of a name.
    """
    check_several("catalogue", catalogue)
    given = (catalogue,) if isinstance(catalogue, str) else tuple(catalogue)
    rows: list[Metric] = []
    for each in given:
        if isinstance(each, Metric):
            rows.append(each)
        elif isinstance(each, str):
            rows += group_rows(each)
        else:
            raise TypeError(
                f"subscribe() takes rows, such as those of metrics.HTTP, or names of groups, not {each!r:.60}"
            )
    if with_pipeline and any(isinstance(each, str) for each in given):
        rows += [row for row in PIPELINE if row not in rows]
    return tuple(rows)


def check_several(argument: str, rows: Iterable[Metric | str]) -> None:
    """Raise an error where rows are no iterable of them.

    Raises:
        TypeError: It is one row alone, a mapping, whose keys would be taken for groups, or no iterable.
    """
    if isinstance(rows, Metric):
        raise TypeError(f"{argument} takes several rows: write ({rows.name},) for one, got the row {rows.name} alone")
    if isinstance(rows, Mapping):
        raise TypeError(
            f"{argument} takes rows without names of yours: write {argument}=tuple(rows.values()), got a mapping"
        )
    if not isinstance(rows, Iterable):
        raise TypeError(f"{argument} takes several rows, or names of groups, and () for none, not {rows!r:.60}")


def group_rows(name: str) -> tuple[Metric, ...]:
    """Return the rows of a group.

    Raises:
        ValueError: There is no group of the name.
    """
    if name not in GROUPS:
        from difflib import get_close_matches  # for an error alone

        similar = get_close_matches(name.lower(), GROUPS, n=1)
        guess = f" did you mean {similar[0]!r}?" if similar else ""
        raise ValueError(f"there is no group {name!r}:{guess} there are {', '.join(GROUPS)}")
    return GROUPS[name]
