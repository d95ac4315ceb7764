"""Scores of plots' pictures, and which of them are switched on."""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"


def upgrade() -> None:
    op.create_table(
        "plot_scores",
        sa.Column("plot", sa.String(40), nullable=False),
        sa.Column("kinds", sa.JSON(), nullable=False),
        sa.Column("reference", sa.JSON(), nullable=False),
        sa.Column("encoder", sa.String(), nullable=False),
        sa.ForeignKeyConstraint(["plot"], ["plots.id"], name="fk_plot_scores_plot", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("plot", name="pk_plot_scores"),
    )
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
    )
