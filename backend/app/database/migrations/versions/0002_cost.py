"""Store the cost of a step's model calls."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.add_column("steps", sa.Column("cost", sa.Double(), nullable=False, server_default="0"))


def downgrade() -> None:
    op.drop_column("steps", "cost")
