"""Which pictures were interrupted: when their job is tried again they are drawn to the end."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    op.add_column("images", sa.Column("unfinished", sa.Boolean(), nullable=False, server_default="0"))
