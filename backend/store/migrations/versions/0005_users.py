"""Users with ids. Rows named their owners by their accounts' names; what was made without logins stays with "local"."""

import secrets

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"

OWNED = ("jobs", "images", "preferences")
LOCAL = "local"


def upgrade() -> None:
    op.create_table(
        "users",
        sa.Column("id", sa.String(40), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_users"),
        sa.UniqueConstraint("name", name="uq_users_name"),
    )
    connection = op.get_bind()
    names = {name for table in OWNED for (name,) in connection.exec_driver_sql(f"SELECT DISTINCT owner FROM {table}")}
    ids = [(f"u{secrets.token_hex(8)}", name) for name in sorted(names - {LOCAL})]
    if ids:
        connection.exec_driver_sql("INSERT INTO users (id, name) VALUES (?, ?)", ids)
        for table in OWNED:
            connection.exec_driver_sql(f"UPDATE {table} SET owner = ? WHERE owner = ?", ids)
