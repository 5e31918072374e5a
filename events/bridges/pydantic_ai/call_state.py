"""The state of a call to a model while it is under way: its request, its attempts so far, and their answers."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from time import perf_counter
from typing import Literal, NamedTuple

from pydantic_ai.messages import ModelMessage, ModelResponse
from pydantic_ai.models import Model, ModelRequestParameters, StreamedResponse
from pydantic_ai.settings import ModelSettings

from ...bus.fields import ErrorType, Status
from ...bus.intervals import Timeline
from ..model_calls.claims import claim_own_call
from ..model_calls.error_types import error_type_of_status
from ..model_calls.names import label_of
from ..model_calls.token_times import TokenTimes
from .billing import Billing, PriceFunction
from .interruptions import Interruptions
from .output_faults import SchemaValidator

SHORTEST_QUEUE = 0.005
"""Seconds; what is shorter is the work between a call and its first attempt, and no wait."""

AnyResponse = ModelResponse | StreamedResponse


# None of these is frozen, though most are not changed: to set a field of what is takes four times as long.
@dataclass(slots=True, kw_only=True)
class RequestSpec:
    """A request to a model, and how its response is to be priced and validated."""

    messages: list[ModelMessage]
    settings: ModelSettings | None
    parameters: ModelRequestParameters
    streamed: bool
    price: PriceFunction | None = None
    is_valid_output: SchemaValidator | None = None


class AskedModel(NamedTuple):
    """A model by the name that it is asked for, and its provider."""

    model: str
    provider: str

    @classmethod
    def of(cls, model: Model) -> AskedModel:
        """Return the names of a model as it is configured."""
        return cls.named(model.model_name, model.system)

    @classmethod
    @lru_cache(256)  # a process asks few
    def named(cls, model: str, provider: str) -> AskedModel:
        """Return the names as labels have them."""
        return cls(label_of(model), label_of(provider))


@dataclass(frozen=True, kw_only=True)
class Answer:
    """The answer of one attempt, or as much of it as arrived, and what it was billed."""

    model: Model
    asked: AskedModel
    response: AnyResponse
    parts: object
    """The list of its parts: a copy of a response, as a fallback model returns, has the same one."""
    response_model: str | None
    complete: bool
    billing: Billing

    def is_response(self, response: AnyResponse) -> bool:
        """Return whether a response is this answer, or a copy of it."""
        return response is self.response or getattr(response, "parts", None) is self.parts


class CallState:
    """The state that the attempts of one logical call share; `emit_attempted` updates it after each attempt.

    Attributes:
        requested_model: The name of the model that was asked for, as a label.
        is_timed: False where its times are not known: of requests in batches, and of jobs that another process began.
        asked: The model of the last attempt.
        started: That of the attempt that started last.
        limits_began: When the limits of pydantic-ai's own began for the first of consecutive attempts at that model.
        last: The response, if any, and the outcome of the last attempt.
        backoff: Of all attempts, in seconds.
        intervals: When its attempts were under way, and when requests waited in queues of one's own, also those given
            up there.
        attempted: When the requests were asked that attempts were made for.
        answers: The answers of its attempts.
        is_emitted: Whether its `llm_called` is emitted, or just being so.
    """

    # Defaults of the class: what most calls do not change, since each attribute that is set takes time.
    is_timed = True
    attempts = 0
    asked: AskedModel | None = None
    started: AskedModel | None = None
    limits_began = backoff = 0.0
    last: tuple[AnyResponse | None, RequestOutcome] | None = None
    is_emitted = False
    _named: tuple[Model | None, AskedModel] = (None, AskedModel("", ""))
    """The model whose names were read last."""

    def __init__(self, spec: RequestSpec, requested_model: str) -> None:
        self.spec = spec
        self.requested_model = label_of(requested_model)
        self.claim = claim_own_call()
        self.intervals: list[tuple[Literal["attempt", "queue"], float, float]] = []
        self.attempted: set[float] = set()
        self.answers: list[Answer] = []
        self.interruptions = Interruptions()
        self.started_at = perf_counter()

    @property
    def id(self) -> str:
        """The id of the call in all its events."""
        return self.claim.call_id

    @property
    def has_ended(self) -> bool:
        """Whether the call is over; what it left running may still be under way."""
        return self.claim.has_ended

    def names_of(self, model: Model) -> AskedModel:
        """Return the names of a model; of one that is asked for again they are not read again."""
        named, names = self._named
        if named is not model:
            names = AskedModel.of(model)
            self._named = model, names
        return names

    def queue_wait(self, until: float) -> float:
        """Return the seconds before a moment in which nothing of it was under way, but something waited in a queue."""
        for kind, _, _ in self.intervals:
            if kind == "queue":
                break
        else:
            return 0.0
        timeline = Timeline(("attempt", "queue"), self.started_at)
        for interval in self.intervals:
            timeline.add(*interval)
        return timeline.seconds(until)["queue"]


@dataclass(frozen=True, kw_only=True)
class RequestOutcome:
    """How and when a request ended; times are those of `time.perf_counter`."""

    status: Status
    error: BaseException | None
    started_at: float
    ended_at: float
    token_times: TokenTimes
    fault: ErrorType | None = None
    """Why it failed where nothing was raised."""
    pool_wait: float = 0.0
    """Seconds that it waited for a connection of its HTTP client's pool, just before it started."""
    reader_pauses: float = 0.0
    """Seconds that are not the model's but its reader's."""
    asked_at: tuple[float, ...] = ()
    """When its instrumented model was asked, and those around it; a moment stands for one request to one of them."""

    @property
    def duration(self) -> float:
        """How many seconds the request took, without its reader's pauses."""
        return max(0.0, self.ended_at - self.started_at - self.reader_pauses)

    @property
    def error_type(self) -> ErrorType | None:
        """Why the request failed; None where it succeeded."""
        return None if self.status == "success" else self.fault or error_type_of_status(self.status, self.error)

    @property
    def error_name(self) -> str:
        """The class of the error, "" without one; GeneratorExit is how Python closes a stream, and no error."""
        return "" if self.error is None or isinstance(self.error, GeneratorExit) else type(self.error).__name__
