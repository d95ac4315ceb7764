"""Share links, shared boards, limits of single users, and the audit log."""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"


def upgrade() -> None:
    op.create_table(
        "share_links",
        sa.Column("token", sa.String(40), nullable=False),
        sa.Column("owner", sa.String(), nullable=False),
        sa.Column("kind", sa.String(10), nullable=False),
        sa.Column("target", sa.String(40), nullable=False),
        sa.Column("settings", sa.Boolean(), nullable=False),
        sa.Column("created", sa.DateTime(), nullable=False),
        sa.Column("expires", sa.DateTime(), nullable=True),
        sa.PrimaryKeyConstraint("token", name="pk_share_links"),
    )
    op.create_index("ix_share_links_owner", "share_links", ["owner"])
    op.create_index("ix_share_links_target", "share_links", ["target"])
    op.create_table(
        "board_shares",
        sa.Column("board", sa.String(40), nullable=False),
        sa.Column("user", sa.String(40), nullable=False),
        sa.ForeignKeyConstraint(["board"], ["boards.id"], name="fk_board_shares_board", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("board", "user", name="pk_board_shares"),
    )
    op.create_index("ix_board_shares_user", "board_shares", ["user"])
    op.create_table(
        "user_limits",
        sa.Column("owner", sa.String(), nullable=False),
        sa.Column("limits", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("owner", name="pk_user_limits"),
    )
    op.create_table(
        "audit_log",
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("moment", sa.DateTime(), nullable=False),
        sa.Column("actor", sa.String(), nullable=False),
        sa.Column("action", sa.String(40), nullable=False),
        sa.Column("subject", sa.String(), nullable=False),
        sa.Column("address", sa.String(), nullable=False),
        sa.Column("detail", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("number", name="pk_audit_log"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_audit_log_moment", "audit_log", ["moment"])
