"""The receiver of a signal: updates every metric that the signal's rows name."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from operator import attrgetter
from typing import Any

from events import label_overflowed
from events.bus.emitters import BindableReceiver, DeliverFn
from events.bus.failures import report_failure
from events.bus.fields import may_be_number

from ..event_fields import AnySignal, field_types, is_wanted, label_text, pairing_field
from ..fastpath.children import settable
from ..fastpath.plan import AmountUpdate, ChildUpdate, EventUpdate, SpanUpdate, UpdatePlan
from ..fastpath.public_update import Expected, SetArguments, UpdateFn
from ..fastpath.set_fields import ReadField, SetFields
from ..fastpath.update import update_function
from ..rows import OTHER, Metric
from .announced_series import create_announced, create_failures
from .compiled_updates import CompiledUpdate, CompiledUpdates
from .dropped_values import report_dropped_value, value_range
from .exemplar_updates import FindExemplar, with_exemplars
from .gauges import gauge_setter
from .label_limits import LabelLimiter
from .overflows import Overflows
from .series import FamilySeries


class MetricsReceiver(BindableReceiver):
    """Updates every series of one signal's rows.

    The fields that are labels or conditions of some row choose what an event updates. For each combination of their
    values an `UpdatePlan` is made and compiled once, see `CompiledUpdates`.
    """

    MAX_PREPARED = 64
    """Sets of names of fields that are prepared for; code that emits has a few for each kind of event."""

    def __init__(
        self,
        signal: AnySignal,
        rows: Iterable[tuple[Metric, FamilySeries]],
        every_signal_rows: Iterable[tuple[Metric, FamilySeries]],
        limiter: LabelLimiter,
    ) -> None:
        self.__qualname__ = "metrics"  # how a failure names it
        self._signal = signal
        self._rows = tuple(rows)
        self._limiter = limiter
        # The count of the events of the signal, and the time of the last one.
        every_event = [
            (row.kind, ChildUpdate(family.name, family.collector.labels(signal.name)))
            for row, family in every_signal_rows
        ]
        self._counters = [update for kind, update in every_event if kind == "counter"]
        self._timestamps = tuple(update for kind, update in every_event if kind == "gauge")
        fields = dict.fromkeys(name for row, _ in self._rows for name in (*row.labels, *row.where))
        self._fields = tuple(fields)
        # All that events are read for.
        pairing = [pairing_field(signal) for row, _ in self._rows if row.kind == "in_flight"]
        valued = [(row.kind, row.value) for row, _ in self._rows if isinstance(row.value, str)]
        self._read_by_updates = (*dict.fromkeys([*(value for kind, value in valued if kind != "gauge"), *pairing]),)
        self._needed = {*fields, *self._read_by_updates, *(value for _, value in valued)}
        self.sets_gauges = any(kind == "gauge" for kind, _ in valued)
        label_sets = {name: values for row, _ in self._rows for name, values in row.label_sets()}
        self._labels = {
            name: limiter.other_test(name) if values is None else partial(is_outside, values)
            for name, values in label_sets.items()
        }
        self._updates = self._new_updates(None)
        # Those of events of which no other fields are set, by their names.
        self._prepared: dict[tuple[str, ...], CompiledUpdates] = {}
        self._overflows: dict[tuple[tuple[str, str], ...], Overflows] = {}  # by what is counted
        self._find_exemplar: FindExemplar | None = None
        # Amounts of bound emitters that are None at times, or of another type than they are declared as.
        self._alone: frozenset[str] = frozenset()

    def __call__(self, event: Any) -> None:
        """Update every series that an event changes; a metric that fails does not starve the others."""
        self._updates(event)

    def prepare(self, names: Collection[str]) -> DeliverFn | None:
        """Return what does the same as a call, with these fields, in this order; no others are set.

        None where exemplars are given: when a bucket got its exemplar is known to one update alone; and where a field
        is needed that only an event has.
        """
        if self._find_exemplar is not None:
            return None
        key = (*names,)
        if key not in self._prepared and len(self._prepared) >= self.MAX_PREPARED:
            self._prepared.clear()
        if key not in self._prepared:
            set_fields = SetFields(self._signal.event, key)  # type: ignore[arg-type]  # a dataclass is a type
            if not all(map(set_fields.can_read, self._needed)):
                return None
            self._prepared.setdefault(key, self._new_updates(set_fields))
        return self._prepared[key].receive

    def bind(self, fixed: Mapping[str, Any], variable: tuple[str, ...]) -> UpdateFn | None:
        """Return a function that takes the values of the variable fields, if counts and amounts are all there is.

        An amount that is fixed may only be None, which adds nothing.
        """
        if not fixed.keys() >= set(self._fields):
            return None
        plan, overflows = self.plan({name: fixed[name] for name in self._fields})
        amounts = tuple(amount for amount in plan.amounts if fixed.get(amount.field, ...) is not None)
        if plan.gauges or plan.spans or any(amount.field not in variable for amount in amounts):
            return None
        plan = replace(self._counting(plan, overflows), amounts=amounts)
        return self._update_function(plan, variable, None, Expected(self._check_alone, self._alone))

    def set_exemplars(self, find: FindExemplar | None) -> None:
        """Set the function that finds the exemplars of histograms from now on; None for none.

        What was compiled is compiled again; emitters that were bound before have to bind again.
        """
        self._find_exemplar = find
        self._updates.clear()
        self._prepared.clear()

    def announced(self, fields: Mapping[str, Any]) -> None:
        """Create the series, at 0, that an event with these fields adds to, as far as the labels have room for them."""
        create_announced(self._signal.name, self._rows, self._limiter, fields)

    def failures_announced(self, failures: Sequence[Mapping[str, Any]]) -> None:
        """Create the series of counters, at 0, that these failures are counted by, if the labels have room for all."""
        create_failures(self._rows, self._limiter, failures)

    def emit_overflows(self) -> None:
        """Emit `label_overflowed` for the samples that were counted as ``other`` since the last time."""
        for overflows in tuple(self._overflows.values()):
            overflows.emit()

    def plan(
        self,
        fields: Mapping[str, Any],
        past: Sequence[str] = (),
        reader: Callable[[str], ReadField] = attrgetter,
    ) -> tuple[UpdatePlan, Collection[tuple[str, str]]]:
        """Return what events with these fields update, and the (metric, label) pairs whose values are past a limit.

        ``past`` names fields that are ``other`` already, since their values were past it. ``reader`` returns what
        reads a field of an event, or of what stands for it.
        """
        overflows: dict[tuple[str, str], None] = {}
        counters, amounts = [*self._counters], []
        gauges: list[EventUpdate] = []
        spans: list[SpanUpdate] = []
        for row, family in self._rows:
            if any(fields[name] is None for name in row.optional_labels):
                continue  # an event without a value for a label is none of the row's
            known = fields
            if row.default:
                known = {name: row.default.get(name) if value is None else value for name, value in fields.items()}
            lacking = [
                name
                for name, values in zip(row.labels, row.closed_label_values, strict=True)
                if values is not None and known[name] is None
            ]
            label_values = self._limited(row, known)
            others = [
                name
                for name, value in zip(row.labels, label_values, strict=True)
                if name in past or (value != label_text(known[name]) and name not in lacking)
            ]
            if not others:
                family.initialize_siblings(label_values)
            if lacking or not all(is_wanted(fields[name], wanted) for name, wanted in row.where.items()):
                continue
            overflows.update(((family.name, row.rename.get(name, name)), None) for name in others)
            if row.kind == "gauge" and row.value is None:
                family.child(row, label_values).set(1)
            elif row.kind == "gauge":
                is_other = bool(others) or (family.combined.combines and has_other(row, label_values))
                setter = gauge_setter(row, family, label_values, is_other=is_other, reader=reader)
                gauges.append(
                    EventUpdate(family.name, setter, field=str(row.value), keeps=row.expires_after is not None)
                )
            elif row.kind == "in_flight":
                spans.append(self._span_update(row, family, label_values))
            elif row.value is None:
                counters.append(ChildUpdate(family.name, family.child(row, label_values)))
            else:
                child = family.child(row, label_values)
                amounts.append(AmountUpdate(family.name, child, row.value, *value_range(row), native=family.native))
        plan = UpdatePlan(
            counters=tuple(counters),
            timestamps=self._timestamps,
            amounts=tuple(amounts),
            gauges=tuple(gauges),
            spans=tuple(spans),
            on_dropped=report_dropped_amount,
            on_failure=self.report_failure,
        )
        return plan, overflows

    def compiled(
        self,
        fields: Mapping[str, Any],
        past: Sequence[str],
        arguments: SetArguments | None = None,
        expected: Expected | None = None,
    ) -> CompiledUpdate:
        """Return the update for these values of the fields, of which those of ``past`` are ``other``.

        It takes an event, or some fields that are set; then it leaves out what is None for sure.
        """
        if arguments is None:
            plan, overflows = self.plan(fields, past)
        else:
            is_none = arguments.set_fields.is_none
            plan, overflows = self.plan(fields, past, arguments.set_fields.reader)
            amounts = tuple(each for each in plan.amounts if not is_none(each.field))
            gauges = tuple(each for each in plan.gauges if not (each.keeps and is_none(each.field)))
            plan = replace(plan, amounts=amounts, gauges=gauges)
        return self._update_function(self._counting(plan, overflows), None, arguments, expected), plan.gauges

    def may_be_number(self, field: str) -> bool:
        """Return whether a field of the events can have a number as its value, by its type."""
        return may_be_number(field_types(self._signal).get(field, Any))

    def report_failure(self, metric: str, error: Exception) -> None:
        """Report that a metric could not be updated."""
        report_failure(self._signal.name, metric, error)

    def _check_alone(self, amounts: Collection[str]) -> None:
        """Have emitters bind anew, once for each amount that is None or of another type at times."""
        self._alone = self._alone.union(amounts)
        self._signal.rebind()

    def _new_updates(self, set_fields: SetFields | None) -> CompiledUpdates:
        return CompiledUpdates(self, self._fields, self._labels, self._read_by_updates, set_fields)

    def _update_function(
        self,
        plan: UpdatePlan,
        field_names: Sequence[str] | None,
        arguments: SetArguments | None,
        expected: Expected | None,
    ) -> UpdateFn:
        update = update_function(plan, field_names, arguments, expected)
        find = self._find_exemplar
        return update if find is None else with_exemplars(update, plan, find, field_names)

    def _counting(self, plan: UpdatePlan, pairs: Iterable[tuple[str, str]]) -> UpdatePlan:
        """Return a plan that counts one more sample of each (metric, label) pair that is past its limit."""
        if self._signal is label_overflowed or not pairs:  # its own overflow would be emitted for ever
            return plan
        key = tuple(pairs)
        overflows = self._overflows.get(key) or self._overflows.setdefault(key, Overflows(key))
        return replace(plan, count_other=overflows.add)

    def _limited(self, row: Metric, fields: Mapping[str, Any]) -> list[str]:
        """Return the values of a row's labels as text, each one that is past its limit as ``other``."""
        texts: dict[str, str] = {}
        # Nested labels last, when the value of the outer one is known.
        for label, closed in sorted(
            zip(row.labels, row.closed_label_values, strict=True), key=lambda each: each[0] in row.nested_in
        ):
            text = label_text(fields[label])
            if closed is not None and text not in closed:
                text = OTHER
            elif closed is None or label in row.nested_in:
                text = self._limiter.admit(label, text, texts.get(row.nested_in.get(label, "")))
            texts[label] = text
        return [texts[label] for label in row.labels]

    def _span_update(self, row: Metric, family: FamilySeries, label_values: list[str]) -> SpanUpdate:
        """Return what opens or closes the span of an event."""
        key, table = pairing_field(self._signal), family.in_flight
        if self._signal in {row.finished, row.released}:
            return SpanUpdate(family.name, table.close, key)
        return SpanUpdate(family.name, partial(table.open, gauge=settable(family.child(row, label_values))), key)


def is_outside(closed_set: Collection[str], value: object) -> bool:
    """Return whether a value is none of a closed set."""
    return label_text(value) not in closed_set


def has_other(row: Metric, label_values: Iterable[str]) -> bool:
    """Return whether an open label is ``other``: what an event calls so is one of the things that stand under it."""
    closed = zip(label_values, row.closed_label_values, strict=True)
    return any(value == OTHER and values is None for value, values in closed)


def report_dropped_amount(update: AmountUpdate, amount: Any) -> None:
    """Emit `value_dropped` for an amount outside of its range."""
    report_dropped_value(update.metric, amount, update.minimum, update.limit)
