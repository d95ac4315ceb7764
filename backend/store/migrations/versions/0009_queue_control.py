"""Queues that are paused, and ended jobs whose notice was dismissed."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    op.create_table("paused_queues", sa.Column("owner", sa.String(), nullable=False),
                    sa.PrimaryKeyConstraint("owner", name="pk_paused_queues"))
    op.add_column("jobs", sa.Column("dismissed", sa.Boolean(), nullable=False, server_default="0"))
