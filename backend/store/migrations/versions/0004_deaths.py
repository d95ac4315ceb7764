"""How many pictures a job had when its worker last died: deaths without progress count, not deaths."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    op.add_column("jobs", sa.Column("died_at", sa.Integer(), nullable=True))
