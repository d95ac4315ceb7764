"""Tries to log in, which the fronts of one database count together."""

import sqlalchemy as sa
from alembic import op

revision = "0019"
down_revision = "0018"


def upgrade() -> None:
    op.create_table(
        "login_tries",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("address", sa.String(length=64), nullable=False),
        sa.Column("account", sa.String(length=64), nullable=False),
        sa.Column("second", sa.Float(), nullable=False),
        sa.Column("opened", sa.Boolean(), nullable=False),
        sa.Column("home", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_login_tries"),
    )
    op.create_index("ix_login_tries_address_second", "login_tries", ["address", "second"])
    op.create_index("ix_login_tries_account_second", "login_tries", ["account", "second"])
    op.create_index("ix_login_tries_second", "login_tries", ["second"])
