"""The tables: brands, runs of workflows, their steps and attempts at steps, executors, and the audit trail's events."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Literal, get_args

from sqlalchemy import JSON, CheckConstraint, ForeignKey, Index, MetaData, String, UniqueConstraint
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship

from app.llm_usage import LLMUsage

from .column_types import SafeJSON, SafeText, UTCDateTime

RunStatus = Literal["queued", "running", "completed", "failed", "cancelled", "abandoned"]
StepStatus = Literal["success", "error", "timeout", "cancelled"]


class Base(DeclarativeBase):
    """The declarative base of the studio's tables."""

    # Constraints have names so that a later migration can drop them on both databases.
    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map = {dict[str, Any]: SafeJSON, datetime: UTCDateTime, str: SafeText}  # noqa: RUF012 - as SQLAlchemy reads it


def utc_now() -> datetime:
    """Return the time in UTC, as every row stores it."""
    return datetime.now(UTC)


def _check_in(column: str, values: object) -> CheckConstraint:
    return CheckConstraint(f"{column} IN ({', '.join(map(repr, get_args(values)))})", name=column)


class Brand(Base):
    """A brand that the studio writes for."""

    __tablename__ = "brands"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(SafeText(120), unique=True)
    description: Mapped[str] = mapped_column(default="")
    audience: Mapped[str] = mapped_column(default="")
    tone: Mapped[str] = mapped_column(default="")
    created_at: Mapped[datetime] = mapped_column(default=utc_now)


class Run(Base):
    """One run of a workflow for a brand; its id is also the id of the DBOS workflow."""

    __tablename__ = "runs"
    __table_args__ = (
        _check_in("status", RunStatus),
        Index(None, "brand_id", "status"),
        Index(None, "queued_at"),
        Index(None, "finished_at"),
    )

    id: Mapped[str] = mapped_column(SafeText(36), primary_key=True)
    workflow_type: Mapped[str] = mapped_column(SafeText(64))
    brand_id: Mapped[int] = mapped_column(ForeignKey("brands.id", ondelete="RESTRICT"))
    brief: Mapped[dict[str, Any]]
    status: Mapped[RunStatus] = mapped_column(String(16), index=True, default="queued")
    error: Mapped[str | None]
    idempotency_key: Mapped[str | None] = mapped_column(SafeText(200), unique=True)
    queued_at: Mapped[datetime] = mapped_column(default=utc_now)
    started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]
    output: Mapped[dict[str, Any] | None]
    requeues: Mapped[int] = mapped_column(default=0, server_default="0")
    """How often the run was queued again because the workflow engine gave it up."""

    brand: Mapped[Brand] = relationship(lazy="raise")
    steps: Mapped[list[Step]] = relationship(
        back_populates="run", order_by="Step.position, Step.id", cascade="all, delete-orphan", lazy="raise"
    )

    @property
    def usage(self) -> LLMUsage:
        """The usage of models by the loaded steps."""
        return LLMUsage.total(step.usage for step in self.steps)

    @property
    def rejected(self) -> bool:
        """Whether the last verdict of a reviewer among the loaded steps is a rejection."""
        verdicts = [step.output["verdict"] for step in self.steps if step.output and "verdict" in step.output]
        return verdicts[-1:] == ["rejected"]


class Step(Base):
    """One agent's part of a run: the outcome of its last attempt, and the usage of models by all of them."""

    __tablename__ = "steps"
    __table_args__ = (UniqueConstraint("run_id", "name"), _check_in("status", StepStatus))

    id: Mapped[int] = mapped_column(primary_key=True)
    run_id: Mapped[str] = mapped_column(SafeText(36), ForeignKey("runs.id", ondelete="CASCADE"))
    position: Mapped[int]
    name: Mapped[str] = mapped_column(SafeText(64))
    agent_name: Mapped[str] = mapped_column(SafeText(64))
    status: Mapped[StepStatus] = mapped_column(String(16))
    error: Mapped[str | None]
    output: Mapped[dict[str, Any] | None]
    started_at: Mapped[datetime]
    duration: Mapped[float]
    llm_calls: Mapped[int] = mapped_column(default=0)
    prompt_tokens: Mapped[int] = mapped_column(default=0)
    completion_tokens: Mapped[int] = mapped_column(default=0)
    cost: Mapped[float | None]  # USD, of the calls whose price is known; None when no call has a known price

    run: Mapped[Run] = relationship(back_populates="steps", lazy="raise")

    @property
    def usage(self) -> LLMUsage:
        """The usage of models by all attempts."""
        return LLMUsage(self.llm_calls, self.prompt_tokens, self.completion_tokens, self.cost)


class Attempt(Base):
    """The usage of models by one attempt at a step. It is stored once, by whichever process knows of it."""

    __tablename__ = "attempts"
    __table_args__ = (Index(None, "run_id", "step"),)

    id: Mapped[str] = mapped_column(SafeText(36), primary_key=True)
    run_id: Mapped[str] = mapped_column(SafeText(36), ForeignKey("runs.id", ondelete="CASCADE"))
    step: Mapped[str] = mapped_column(SafeText(64))
    llm_calls: Mapped[int]
    prompt_tokens: Mapped[int]
    completion_tokens: Mapped[int]
    cost: Mapped[float | None]


class Executor(Base):
    """One process that executes runs, as other hosts see it: it lives while its lease lasts.

    All times are by the database's clock.
    """

    __tablename__ = "executors"

    id: Mapped[str] = mapped_column(SafeText(200), primary_key=True)
    """Its id in DBOS, which no other process has had or will have."""

    host: Mapped[str] = mapped_column(SafeText(200))
    version: Mapped[str] = mapped_column(SafeText(32))
    """The version of the workflows that it executes."""

    concurrency: Mapped[int]
    """How many runs it executes at once."""

    total_concurrency: Mapped[int | None]
    """How many it wants all processes together to execute at once; None if it sets no limit."""

    lease_seconds: Mapped[float]
    """How long it lives after a renewal. It is the holder's own, as hosts may differ while a setting is changed."""

    started_at: Mapped[datetime]
    beat_at: Mapped[datetime]
    """When its lease was last renewed."""

    stopped_at: Mapped[datetime | None]
    """When it released its runs as it stopped; None while it lives, and for ever if it was killed."""


class AuditEvent(Base):
    """One event of the audit trail, with what a query asks for in columns of its own."""

    __tablename__ = "audit_events"
    __table_args__ = (Index(None, "run_id"), Index(None, "time"))

    id: Mapped[str] = mapped_column(SafeText(64), primary_key=True)
    """The process, and the number of the event there: an event that is stored twice has one row."""

    time: Mapped[datetime]
    process: Mapped[str] = mapped_column(SafeText(40))
    signal: Mapped[str] = mapped_column(SafeText(64))
    run_id: Mapped[str | None] = mapped_column(SafeText(200))
    workflow_type: Mapped[str | None] = mapped_column(SafeText(200))
    agent_name: Mapped[str | None] = mapped_column(SafeText(200))
    record: Mapped[dict[str, Any]] = mapped_column(JSON)
    """The event, as `events.bus.records` makes a record of it: its texts are such that they need not be made safe."""
