"""Boards, and the kind of each picture for the history's filter."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"

KIND = """UPDATE images SET kind = CASE WHEN "index" < 0 THEN 'grid' ELSE coalesce((
    SELECT CASE WHEN json_extract(request, '$.process') = 'Extras' THEN 'extras'
                WHEN coalesce(json_extract(request, '$.init_image'), '') = '' THEN 'txt2img'
                WHEN coalesce(json_extract(request, '$.mask'), '') = '' THEN 'img2img' ELSE 'inpaint' END
    FROM jobs WHERE jobs.id = images.job AND json_valid(request)), '') END"""


def upgrade() -> None:
    op.create_table(
        "boards",
        sa.Column("id", sa.String(40), nullable=False),
        sa.Column("owner", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("created", sa.DateTime(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_boards"),
    )
    op.create_index("ix_boards_owner", "boards", ["owner"])
    op.create_table(
        "board_pictures",
        sa.Column("board", sa.String(40), nullable=False),
        sa.Column("image", sa.String(40), nullable=False),
        sa.ForeignKeyConstraint(["board"], ["boards.id"], name="fk_board_pictures_board", ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["image"], ["images.id"], name="fk_board_pictures_image", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("board", "image", name="pk_board_pictures"),
    )
    op.create_index("ix_board_pictures_image", "board_pictures", ["image"])
    op.add_column("images", sa.Column("kind", sa.String(10), nullable=False, server_default=sa.text("''")))
    op.execute(KIND)
