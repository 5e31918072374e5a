"""Allow a step's cost to be unknown; it is for all steps from before calls were priced."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"

steps = sa.table("steps", sa.column("cost", sa.Double()))


def upgrade() -> None:
    with op.batch_alter_table("steps") as table:
        table.alter_column("cost", existing_type=sa.Double(), nullable=True, server_default=None)
    op.execute(steps.update().values(cost=None))


def downgrade() -> None:
    op.execute(steps.update().where(steps.c.cost.is_(None)).values(cost=0))
    with op.batch_alter_table("steps") as table:
        table.alter_column("cost", existing_type=sa.Double(), nullable=False, server_default="0")
