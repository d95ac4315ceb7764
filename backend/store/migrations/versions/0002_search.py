"""Stars, the bin, digests, filters by model and sampler, and an index over the words of the settings texts."""

import sqlalchemy as sa
from alembic import op

from backend.image.infotext.entries import labels

revision = "0002"
down_revision = "0001"

WORDS = (
    """CREATE VIRTUAL TABLE images_words USING fts5(infotext, content='images', content_rowid='number', prefix='1 2',
        tokenize="unicode61 remove_diacritics 2 categories 'L* M* N* Co So'")""",
    """CREATE TRIGGER images_inserted AFTER INSERT ON images BEGIN
        INSERT INTO images_words(rowid, infotext) VALUES (new.number, new.infotext); END""",
    """CREATE TRIGGER images_deleted AFTER DELETE ON images BEGIN
        INSERT INTO images_words(images_words, rowid, infotext) VALUES ('delete', old.number, old.infotext); END""",
    """CREATE TRIGGER images_updated AFTER UPDATE OF number, infotext ON images BEGIN
        INSERT INTO images_words(images_words, rowid, infotext) VALUES ('delete', old.number, old.infotext);
        INSERT INTO images_words(rowid, infotext) VALUES (new.number, new.infotext); END""",
    "INSERT INTO images_words(images_words) VALUES ('rebuild')",
)


def upgrade() -> None:
    op.add_column("images", sa.Column("binned", sa.DateTime()))
    op.add_column("images", sa.Column("starred", sa.Boolean(), nullable=False, server_default="0"))
    op.add_column("images", sa.Column("model", sa.String(), nullable=False, server_default=sa.text("''")))
    op.add_column("images", sa.Column("sampler", sa.String(), nullable=False, server_default=sa.text("''")))
    op.add_column("images", sa.Column("digest", sa.String(64), nullable=False, server_default=sa.text("''")))
    connection = op.get_bind()
    told = [(*labels(text), number) for number, text in
            connection.exec_driver_sql("SELECT number, infotext FROM images").all()]
    if told:
        connection.exec_driver_sql("UPDATE images SET model = ?, sampler = ? WHERE number = ?", told)
    op.drop_index("ix_images_owner_number", "images")
    op.create_index("ix_images_owner_deleted_binned_created", "images", ["owner", "deleted", "binned", "created"])
    op.create_index("ix_images_owner_digest", "images", ["owner", "digest"])
    for statement in WORDS:
        op.execute(statement)
