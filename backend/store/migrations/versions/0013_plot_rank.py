"""Which plots come before others of their owner."""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"


def upgrade() -> None:
    op.add_column("plots", sa.Column("rank", sa.Integer(), nullable=False, server_default=sa.text("0")))
