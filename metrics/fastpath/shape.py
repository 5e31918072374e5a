"""The shape of an update: what its generated code depends on, whichever the values are that it changes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from events.bus.amount_limits import MAX_AMOUNT

from .set_fields import VALUE

Number = Literal["float", "int"]


@dataclass(frozen=True, slots=True)
class AmountShape:
    """An amount: the field it is read from and what it goes into.

    Attributes:
        field: The name of the field.
        kind: A counter, a histogram, or one that has exponential buckets too.
        number: The exact type that the field is declared as.
        minimum: The least that it may be, finite.
        limit: What it is below, finite.
        is_joined: It is of the same field as the one before, within the same limits, so that it needs no check.
        is_together: It has its type each time, and is checked together with others that have theirs. Else it may be of
            another type, or None, and is checked alone.
    """

    field: str
    kind: Literal["counter", "histogram", "native"] = "counter"
    number: Number = "float"
    minimum: float = 0.0
    limit: float = MAX_AMOUNT
    is_joined: bool = False
    is_together: bool = False

    def __str__(self) -> str:
        """Return it as it stands in tracebacks."""
        checked = f" of {self.number} from {self.minimum} below {self.limit}"
        return f"{'joined ' * self.is_joined}{self.field}:{self.kind}{checked}{' together' * self.is_together}"


@dataclass(frozen=True, slots=True)
class UpdateShape:
    """The parts of an update, and how it takes the values.

    Attributes:
        counters: How many counters are incremented by one.
        timestamps: How many gauges are set to the current time.
        amounts: What amounts are added, and to what.
        spans: For each span that is opened or closed, the name of the field that has its key.
        field_names: None for an update that takes the event; else it takes the values of these.
        is_unpacked: It takes each as an argument of its own, and not all as a tuple.
        counts_other: It begins by calling ``count_other``.
        shared_cells: The value objects are of class `SharedCell`, else they are prometheus_client's ``MutexValue``.
        computed: By the names of fields that are not among ``field_names``, expressions that compute them from those.
        constants: The names of further arguments of ``make_update``, which these expressions have in them.
    """

    counters: int = 0
    timestamps: int = 0
    amounts: tuple[AmountShape, ...] = ()
    spans: tuple[str, ...] = ()
    field_names: tuple[str, ...] | None = None
    is_unpacked: bool = False
    counts_other: bool = False
    shared_cells: bool = False
    computed: tuple[tuple[str, str], ...] = ()
    constants: tuple[str, ...] = ()

    def __str__(self) -> str:
        """Return the name that stands for the shape in tracebacks, another one for each."""
        numbers = [(self.counters, "counter"), (self.timestamps, "timestamp")]
        parts = [f"{number} {noun}{'' if number == 1 else 's'}" for number, noun in numbers]
        parts += [*map(str, self.amounts), *(f"span of {field}" for field in self.spans)]
        if self.field_names is not None:
            parts += [f"by {'each of' if self.is_unpacked else 'values of'} ({', '.join(self.field_names)})"]
        parts += [f"{name} is {expression}" for name, expression in self.computed]
        parts += ["counting other"] if self.counts_other else []
        parts += ["in shared cells"] if self.shared_cells else []
        return ", ".join(parts)

    @property
    def argument(self) -> str:
        """The parameters of the update, or the arguments that it is called with."""
        if self.field_names is None:
            return "event"
        return ", ".join(map(self.variable, self.field_names)) if self.is_unpacked else "values"

    def variable(self, field: str) -> str:
        """Return the name of the variable that has the value of a field."""
        return VALUE.format(name=field)

    def expression(self, field: str) -> str:
        """Return the expression of a field."""
        if self.field_names is None:
            return f"event.{field}"
        return dict(self.computed).get(field) or self.variable(field)

    def checked_alike(self) -> Iterator[tuple[AmountShape, list[int]]]:
        """Yield each amount that is checked, with its place and those of the ones that are joined to it."""
        for first, amount in enumerate(self.amounts):
            if not amount.is_joined:
                alike = [first]
                while alike[-1] + 1 < len(self.amounts) and self.amounts[alike[-1] + 1].is_joined:
                    alike.append(alike[-1] + 1)
                yield amount, alike

    def amount_fields(self) -> tuple[str, ...]:
        """Return the fields that amounts are read from, each once."""
        return (*dict.fromkeys(each.field for each in self.amounts),)

    def together(self) -> list[AmountShape]:
        """Return the amounts that are checked together."""
        return [amount for amount, _ in self.checked_alike() if amount.is_together]
