"""The rules that a span is checked by when it is declared."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from collections.abc import Set as AbstractSet
from typing import Any, get_args

from blinker import default_namespace

from .fields import PairingKey, Status, Total, field_types, may_be_number, total_fields
from .signal import Signal

OUTCOMES: tuple[str, ...] = get_args(Status)
MEASURED = {
    "status": "Status",
    "duration": "Seconds",
    "error": "str = ''",
}
"""The fields that a span sets in every finished event, each with the type that it is declared with."""


def span_errors(
    started: Signal[..., Any], finished: Signal[..., Any], status: Mapping[Any, str], aggregated: AbstractSet[str]
) -> Iterator[str]:
    """Yield each error in a span's signals: what is no signal, what their events lack, statuses and totals.

    Args:
        started: The signal of the started event.
        finished: The signal of the finished event.
        status: By outcome, the value of the finished event's ``status``.
        aggregated: The fields that the aggregator sets.
    """
    given: dict[str, Any] = {"started": started, "finished": finished}
    if wrong := {name: signal for name, signal in given.items() if not isinstance(signal, Signal)}:
        for name, signal in wrong.items():
            yield f"{name} is a signal, as Signal(...) returns it, got {signal!r:.60}"
        return
    started_types, finished_types = field_types(started.event), field_types(finished.event)
    if missing := ({*started_types} | {*MEASURED} | aggregated) - {*finished_types}:
        declarations = [f"{name}: {MEASURED[name]}" for name in sorted(missing & {*MEASURED})]
        advice = f" ({', '.join(declarations)})" if declarations else ""
        yield f"{finished.name} lacks {', '.join(sorted(missing))}{advice}"
    keys = key_fields(started)
    if len(keys) != 1:
        advice = "" if keys else f": declare one in both events, as in {started.name.removesuffix('_started')}_id: Key"
        yield f"{started.name} needs one Key field to pair it with {finished.name}, it has {len(keys)}{advice}"
    if "status" in finished_types:
        values = get_args(finished_types["status"])
        if unfit := {*status.values()} - {*values} or {*OUTCOMES} - {*status}:
            yield (
                f"{finished.name}: status does not map {', '.join(sorted(map(str, unfit)))}; it maps each of"
                f" {', '.join(OUTCOMES)} to one of {', '.join(map(str, values)) or 'the values of a Literal'}"
            )
    yield from total_errors(finished, declared_only=True)


def key_fields(started: Signal[..., Any]) -> list[str]:
    """Return the names of the fields that pair a started event with its finished event."""
    return [name for name, hint in field_types(started.event).items() if is_key(hint)]


def is_key(hint: Any) -> bool:
    """Return whether a field of this type pairs a started event with its finished event."""
    return any(isinstance(marker, PairingKey) for marker in getattr(hint, "__metadata__", ()))


def total_errors(finished: Signal[..., Any], *, declared_only: bool = False) -> Iterator[str]:
    """Yield the totals of a finished event whose signal is not declared, or has not the field that is summed.

    ``declared_only`` leaves out those whose signal is not declared: it may be, after the span.
    """
    for name, total, signal in named_totals(finished):
        if not isinstance(signal, Signal):
            if not declared_only:
                yield f"{finished.name}: {name} is a total of {total.signal!r}, which is the name of no declared signal"
        elif total.field is not None:
            types = field_types(signal.event)
            if total.field not in types:
                yield (
                    f"{finished.name}: {name} is a total of {total.signal}, which has no field {total.field!r}; it has"
                    f" {', '.join(types)}"
                )
            elif not may_be_number(types[total.field]):
                yield f"{finished.name}: {name} is a total of {total.signal}, whose field {total.field!r} is no number"


def has_unknown_totals(finished: Signal[..., Any]) -> bool:
    """Return whether the signal of a total is not declared yet."""
    return any(not isinstance(signal, Signal) for _, _, signal in named_totals(finished))


def named_totals(finished: Signal[..., Any]) -> Iterator[tuple[str, Total, object]]:
    """Yield each total of an event with its field's name and its signal, None if that is not declared.

    Of an event whose signal is in a namespace of its own nothing is known: what it sums may be there too.
    """
    if default_namespace.get(finished.name) is finished:
        for name, total in total_fields(finished.event).items():  # type: ignore[arg-type]  # a dataclass is a type
            yield name, total, default_namespace.get(total.signal)
