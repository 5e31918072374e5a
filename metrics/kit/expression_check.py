"""PromQL held against what there is: each metric, label and value that an expression names has to exist."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from . import libraries
from .vocabulary import Vocabulary

VARIABLES = {"$__rate_interval": "5m", "$__range": "1h", "$__interval": "1m"}
ANYTHING = None  # labels that are not known, of a selector that names no metric


def check_expression(text: str, known: Vocabulary) -> list[str]:
    """Return what is wrong with an expression; Grafana's variables may stand in it.

    Raises:
        KitLibraryMissing: promql-parser is not installed.
    """
    for variable, value in VARIABLES.items():
        text = text.replace(variable, value)
    try:
        parsed = libraries.promql_parser().parse(text)
    except ValueError as error:
        return [f"it cannot be parsed: {error}"]
    check = Check(known)
    check.labels(parsed)
    return check.faults


def labels_of_expression(text: str, known: Vocabulary) -> set[str]:
    """Return the labels that an expression's result has."""
    return Check(known).labels(libraries.promql_parser().parse(text)) or set()


class Check:
    """One walk through a parsed expression: what is wrong, and which labels each part of it has."""

    def __init__(self, known: Vocabulary) -> None:
        self.known = known
        self.faults: list[str] = []

    def labels(self, part: Any) -> set[str] | None:
        """Return the labels of a part's result, ANYTHING where they are not known."""
        kind = type(part).__name__
        if kind in ("VectorSelector", "MatrixSelector"):
            return self.selector(getattr(part, "vector_selector", part))
        if kind == "AggregateExpr":
            return self.aggregate(part)
        if kind == "BinaryExpr":
            return self.binary(part)
        if kind == "Call":
            return self.call(part)
        return self.labels(part.expr) if hasattr(part, "expr") else set()  # a number or a text has none

    def selector(self, part: Any) -> set[str] | None:
        """Return the labels of a metric, once its matchers are held against what there is."""
        if part.name is None:
            return ANYTHING
        metric = self.known.metrics.get(part.name)
        if metric is None:
            self.faults.append(f"there is no metric {part.name}")
            return ANYTHING
        for matcher in part.matchers.matchers:
            if matcher.name not in metric:
                self.faults.append(f"{part.name} has no label {matcher.name}")
            elif (values := metric[matcher.name]) is not None:
                wrong = [each for each in alternatives(matcher) if not any(re.fullmatch(each, one) for one in values)]
                self.faults += [f"{matcher.name} of {part.name} is never {each!r}" for each in wrong]
        return set(metric)

    def aggregate(self, part: Any) -> set[str] | None:
        """Return the labels that an aggregation leaves."""
        inner = self.labels(part.expr)
        keeps = str(part.op) in ("topk", "bottomk", "limitk", "limit_ratio")
        if part.modifier is None:
            return inner if keeps else set()
        named = set(part.modifier.labels)
        self.require(named, inner, "summed by")
        if keeps:
            return inner
        by = part.modifier.type == libraries.promql_parser().AggModifierType.By
        return named if by else ANYTHING if inner is None else inner - named

    def binary(self, part: Any) -> set[str] | None:
        """Return the labels of what two vectors, or a vector and a number, make."""
        left, right = self.labels(part.lhs), self.labels(part.rhs)
        modifier = part.modifier
        if modifier is not None and modifier.matching is not None:
            matched = set(modifier.matching.labels)
            either = left | right if left is not None and right is not None else ANYTHING
            on = modifier.matching.type == libraries.promql_parser().LabelModifierType.Include
            for side in (left, right) if on else (either,):
                self.require(matched, side, "matched on")
        if left is None or right is None:
            return ANYTHING
        if str(part.op) == "or":
            return left | right
        if modifier is not None and modifier.group_labels:
            self.require(set(modifier.group_labels), right | left, "taken over from the other side")
            return left | set(modifier.group_labels)
        return left or right

    def call(self, part: Any) -> set[str] | None:
        """Return the labels of a function's result."""
        name, arguments = part.func.name, list(part.args)
        found = [self.labels(each) for each in arguments]
        if name in ("time", "vector", "scalar"):
            return set()
        labels: set[str] | None = set()
        for each in found:
            labels = ANYTHING if labels is None or each is None else labels | each
        if labels is None:
            return ANYTHING
        if name == "histogram_quantile":
            return labels - {"le"}
        return labels | {arguments[1].val} if name == "label_replace" else labels

    def require(self, named: set[str], there: set[str] | None, how: str) -> None:
        """Note each label that is named and not there."""
        if there is not ANYTHING:
            self.faults += [f"{label} is {how}, but no series has it" for label in sorted(named - there - {"__name__"})]


def alternatives(matcher: Any) -> Iterator[str]:
    """Yield the regular expressions of a matcher's values; those of a dashboard's variable are not known."""
    ops = libraries.promql_parser().MatchOp
    if matcher.value.startswith("$") or not matcher.value:
        return
    if matcher.op in (ops.Equal, ops.NotEqual):
        yield re.escape(matcher.value)
    elif "(" in matcher.value:
        yield matcher.value
    else:
        yield from matcher.value.split("|")
