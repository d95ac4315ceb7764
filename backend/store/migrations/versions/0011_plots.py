"""Plots, and the jobs that are their cells."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"


def upgrade() -> None:
    op.create_table(
        "plots",
        sa.Column("id", sa.String(40), nullable=False),
        sa.Column("owner", sa.String(), nullable=False),
        sa.Column("title", sa.String(), nullable=False),
        sa.Column("kind", sa.String(20), nullable=False),
        sa.Column("created", sa.DateTime(), nullable=False),
        sa.Column("sort_moment", sa.DateTime(), nullable=False),
        sa.Column("request", sa.JSON(), nullable=False),
        sa.Column("axes", sa.JSON(), nullable=False),
        sa.Column("options", sa.JSON(), nullable=False),
        sa.Column("paused", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_plots"),
    )
    op.create_index("ix_plots_owner_sort_moment", "plots", ["owner", "sort_moment"])
    op.add_column("jobs", sa.Column("plot", sa.String(40)))
    op.add_column("jobs", sa.Column("cell", sa.String(100)))
    op.create_index("ix_jobs_plot_cell", "jobs", ["plot", "cell"], unique=True)
