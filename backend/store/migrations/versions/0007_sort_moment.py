"""The moment by which lists are sorted, beside the one that the clock told: it never goes back."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"

INDICES = {"jobs": ["owner"], "images": ["owner", "deleted", "binned"]}


def upgrade() -> None:
    for table, columns in INDICES.items():
        default = sa.text("'1970-01-01 00:00:00.000000'")
        op.add_column(table, sa.Column("sort_moment", sa.DateTime(), nullable=False, server_default=default))
        op.execute(f"UPDATE {table} SET sort_moment = created")  # noqa: S608
        name = f"ix_{table}_{'_'.join(columns)}"
        op.drop_index(f"{name}_created", table)
        op.create_index(f"{name}_sort_moment", table, [*columns, "sort_moment"])
