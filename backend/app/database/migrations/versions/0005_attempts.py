"""Store the usage of each attempt at a step by itself, so that none is added twice."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    op.create_table(
        "attempts",
        sa.Column("id", sa.String(36), nullable=False),
        sa.Column("run_id", sa.String(36), nullable=False),
        sa.Column("step", sa.String(64), nullable=False),
        sa.Column("llm_calls", sa.Integer(), nullable=False),
        sa.Column("prompt_tokens", sa.Integer(), nullable=False),
        sa.Column("completion_tokens", sa.Integer(), nullable=False),
        sa.Column("cost", sa.Double(), nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_attempts"),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name="fk_attempts_run_id_runs", ondelete="CASCADE"),
    )
    op.create_index("ix_attempts_run_id_step", "attempts", ["run_id", "step"])
    op.execute(
        "INSERT INTO attempts (id, run_id, step, llm_calls, prompt_tokens, completion_tokens, cost)"
        " SELECT 'step-' || id, run_id, name, llm_calls, prompt_tokens, completion_tokens, cost FROM steps"
    )


def downgrade() -> None:
    op.drop_table("attempts")
