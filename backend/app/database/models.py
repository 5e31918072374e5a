"""The tables: brands, the runs of workflows, and the steps of runs."""

from __future__ import annotations

from datetime import UTC, datetime
from math import fsum
from typing import Any, Literal, NamedTuple, get_args

from sqlalchemy import JSON, CheckConstraint, ForeignKey, Index, MetaData, String, UniqueConstraint
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship

from .types import SafeText, UTCDateTime

RunStatus = Literal["queued", "running", "completed", "failed", "cancelled", "abandoned"]
StepStatus = Literal["success", "error", "timeout", "cancelled"]


class Usage(NamedTuple):
    """What a run spent on models, summed from its steps."""

    llm_calls: int
    prompt_tokens: int
    completion_tokens: int
    cost: float | None = None
    """USD, of the calls whose price is known; None where none is."""


class Base(DeclarativeBase):
    """The tables of the studio."""

    # Named constraints: a later migration has to be able to drop them on both databases.
    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    # PostgreSQL's jsonb refuses NUL in a string, its json does not: the plain type on both.
    type_annotation_map = {dict[str, Any]: JSON(none_as_null=True), datetime: UTCDateTime, str: SafeText}  # noqa: RUF012 - as SQLAlchemy reads it


def now() -> datetime:
    """Tell the moment, as every row keeps it."""
    return datetime.now(UTC)


def _one_of(column: str, values: object) -> CheckConstraint:
    return CheckConstraint(f"{column} IN ({', '.join(map(repr, get_args(values)))})", name=column)


class Brand(Base):
    """Whom the studio writes for."""

    __tablename__ = "brands"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(SafeText(120), unique=True)
    description: Mapped[str] = mapped_column(default="")
    audience: Mapped[str] = mapped_column(default="")
    tone: Mapped[str] = mapped_column(default="")
    created_at: Mapped[datetime] = mapped_column(default=now)


class Run(Base):
    """One run of a workflow for a brand; its id is the id of the durable workflow too."""

    __tablename__ = "runs"
    __table_args__ = (_one_of("status", RunStatus), Index(None, "brand_id", "status"), Index(None, "queued_at"))

    id: Mapped[str] = mapped_column(SafeText(36), primary_key=True)
    workflow_type: Mapped[str] = mapped_column(SafeText(64))
    brand_id: Mapped[int] = mapped_column(ForeignKey("brands.id", ondelete="RESTRICT"))
    brief: Mapped[dict[str, Any]]
    status: Mapped[RunStatus] = mapped_column(String(16), index=True, default="queued")
    error: Mapped[str | None]
    idempotency_key: Mapped[str | None] = mapped_column(SafeText(200), unique=True)
    queued_at: Mapped[datetime] = mapped_column(default=now)
    started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]
    output: Mapped[dict[str, Any] | None]

    brand: Mapped[Brand] = relationship(lazy="raise")
    steps: Mapped[list[Step]] = relationship(
        back_populates="run", order_by="Step.position, Step.id", cascade="all, delete-orphan", lazy="raise"
    )

    @property
    def usage(self) -> Usage:
        """What the loaded steps spent."""
        return Usage(
            sum(step.llm_calls for step in self.steps),
            sum(step.prompt_tokens for step in self.steps),
            sum(step.completion_tokens for step in self.steps),
            fsum(costs) if (costs := [step.cost for step in self.steps if step.cost is not None]) else None,
        )

    @property
    def rejected(self) -> bool:
        """Tell whether the last verdict of a reviewer among the loaded steps is a rejection."""
        verdicts = [step.output["verdict"] for step in self.steps if step.output and "verdict" in step.output]
        return verdicts[-1:] == ["rejected"]


class Step(Base):
    """One agent's part of a run, with everything that all its attempts spent."""

    __tablename__ = "steps"
    __table_args__ = (UniqueConstraint("run_id", "name"), _one_of("status", StepStatus))

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
    cost: Mapped[float | None]  # USD, of the calls whose price is known; None where none is

    run: Mapped[Run] = relationship(back_populates="steps", lazy="raise")
