"""Links by which the owners of accounts choose another password."""

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"


def upgrade() -> None:
    op.create_table(
        "password_links",
        sa.Column("owner", sa.String(40), nullable=False),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("expires", sa.DateTime(), nullable=False),
        sa.ForeignKeyConstraint(["owner"], ["accounts.owner"], name="fk_password_links_owner", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("owner", name="pk_password_links"),
    )
    op.create_index("ix_password_links_digest", "password_links", ["digest"], unique=True)
