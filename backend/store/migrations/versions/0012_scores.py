"""Scores of plots' pictures, and which of them are switched on."""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"


def upgrade() -> None:
    op.add_column("plots", sa.Column("scores", sa.JSON(), nullable=False, server_default=sa.text("'{}'")))
    op.create_table(
        "scores",
        sa.Column("picture", sa.String(40), nullable=False),
        sa.Column("kind", sa.String(20), nullable=False),
        sa.Column("reference", sa.String(64), nullable=False),
        sa.Column("encoder", sa.String(), nullable=False),
        sa.Column("content", sa.String(64), nullable=False),
        sa.Column("value", sa.Float(), nullable=True),
        sa.Column("problem", sa.String(), nullable=False),
        sa.ForeignKeyConstraint(["picture"], ["images.id"], name="fk_scores_picture", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("picture", "kind", "reference", "encoder", name="pk_scores"),
        sqlite_with_rowid=False,
    )
