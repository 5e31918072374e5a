"""A call of a model as spans show it, or as another bridge tells it, and the claim to tell it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from os import urandom
from time import perf_counter, time_ns
from typing import TypeGuard

from ...bus.scope import Scope
from ..model_calls.claims import Claim
from ..model_calls.model_call import ModelCall
from .open_spans import NOTHING, OpenSpan
from .span_reading import SpanUsage

DATED = re.compile(r"[-@:](\d{4}|latest)")
"""What follows the name of a model in the name of a version of it."""


class SpanClaim(Claim):
    """The claim of a call that is observed by its spans.

    Attributes:
        owner: The processor that observes it.
        call: The call; `ENDED` once it has.
    """

    owner: object
    call: ObservedCall

    @classmethod
    def of(cls, call: ObservedCall, owner: object, scope: Scope | None) -> SpanClaim:
        """Return the claim of a call that starts in a scope; it is the call's from now on."""
        claim = cls(urandom(16).hex(), is_exact=False, scope=scope)
        claim.owner, claim.call = owner, call
        call.claim = claim  # last: another thread may find the call, and take it over, from now on
        return claim


class ObservedCall:
    """A call of a model, seen by spans, or by another bridge.

    Attributes:
        model: The model that was asked for; "" where that is not known yet.
        outermost: The span that times it, and says how it ended; None for a call of another bridge.
        place: The span that it began in; None outside of all.
        libraries: Those that have a span of it.
        inner: What other spans of it, inside the outermost one, say of the answer.
        claim: The right to tell it; that of another bridge, where one tells it.
        model_call: What emits its events, once its model is known; None for a call of another bridge.
        amounts: What it used, once it was told here, under the names of the totals of agents.
    """

    # Defaults of the class, since each attribute that is set takes time.
    response_model = ""
    ended_ns: int | None = None
    inner: tuple[SpanUsage, ...] = ()
    claim: Claim | None = None
    model_call: ModelCall | None = None
    amounts: Mapping[str, float | None] = NOTHING
    duration = 0.0

    def __init__(self, model: str, started_ns: int, outermost: OpenSpan | None, place: OpenSpan | None) -> None:
        self.model = model
        self.started_ns = started_ns
        self.outermost = outermost
        self.place = place
        self.libraries: set[str] = set() if outermost is None else {outermost.library}

    def end(self, ended_ns: int) -> None:
        """Record that it ended: neither its span nor its claim refers to it any more, and it goes once it is forgotten.

        Otherwise each call would be left to the garbage collector.
        """
        self.ended_ns = ended_ns
        if self.outermost is not None:
            self.outermost.call = ENDED
        if isinstance(self.claim, SpanClaim):
            self.claim.call = ENDED

    @property
    def call_id(self) -> str:
        """The id of the call."""
        return "" if self.claim is None else self.claim.call_id

    @property
    def scope(self) -> Scope | None:
        """The scope that its events are of; None where that is not known."""
        return None if self.claim is None else self.claim.scope

    @property
    def is_under_way(self) -> bool:
        """Whether it has not ended, as far as anybody here knows."""
        return self.ended_ns is None and not (self.claim is not None and self.claim.has_ended)

    @property
    def last_ns(self) -> int | None:
        """When it ended; None while it is under way."""
        if self.ended_ns is not None or self.claim is None or self.claim.ended_at is None:
            return self.ended_ns
        return time_ns() - int((perf_counter() - self.claim.ended_at) * 1e9)

    def is_of(self, model: str) -> bool:
        """Return whether a name may be that of its model, as asked for or in its answer."""
        return same_model(self.model, model) or (self.response_model != "" and same_model(self.response_model, model))


ENDED = ObservedCall("", 0, None, None)
"""Stands for a call that ended, in what it was seen by."""
ENDED.ended_ns = 0


def is_claim_of(claim: Claim | None, owner: object) -> TypeGuard[SpanClaim]:
    """Return whether a claim is one of spans that an owner observes."""
    return isinstance(claim, SpanClaim) and claim.owner is owner


def same_model(one: str, other: str) -> bool:
    """Return whether two names may be of one model: an answer's has a date, a router's the provider before it.

    >>> same_model("openai/gpt-4o", "gpt-4o-2024-08-06"), same_model("gpt-4o", "gpt-4o-mini"), same_model("gpt-4o", "")
    (True, False, True)
    """
    short, long = sorted((one.rpartition("/")[2], other.rpartition("/")[2]), key=len)
    return not short or short == long or (long.startswith(short) and DATED.match(long, len(short)) is not None)
