"""Rows that cannot be read as they should: counted, so that people are told. Reading them never fails: `history`."""

from __future__ import annotations

from sqlalchemy import text

from backend.store.database import Database

# What is looked at is what a row must have to be shown or run as it was; PostgreSQL keeps the kinds of columns itself.
_JOBS = """SELECT count(*) FROM jobs WHERE NOT CASE WHEN json_valid(request) THEN json_type(request) = 'object' END
    OR NOT json_valid(request) OR datetime(created) IS NULL OR typeof(created) != 'text'"""
_IMAGES = """SELECT count(*) FROM images WHERE datetime(created) IS NULL OR typeof(created) != 'text'
    OR typeof("index") != 'integer' OR typeof(width) != 'integer' OR typeof(height) != 'integer'
    OR typeof(seed) != 'integer' OR typeof(infotext) != 'text' OR typeof(path) != 'text'
    OR path LIKE '/%' OR path LIKE '../%' OR path LIKE '%/../%' OR instr(path, char(92)) > 0"""

_JOBS_OF_POSTGRES = "SELECT count(*) FROM jobs WHERE json_typeof(request) IS DISTINCT FROM 'object'"
_IMAGES_OF_POSTGRES = r"""SELECT count(*) FROM images WHERE path LIKE '/%' OR path LIKE '../%' OR path LIKE '%/../%'
    OR strpos(path, chr(92)) > 0"""


def damage(database: Database) -> str:
    """A sentence about the damaged rows; "" when there are none. StorageError."""
    queries = (_JOBS_OF_POSTGRES, _IMAGES_OF_POSTGRES) if database.url else (_JOBS, _IMAGES)
    with database.read() as session:
        jobs, images = (session.scalar(text(query)) or 0 for query in queries)
    if not jobs and not images:
        return ""
    counts = ((jobs, "job"), (images, "picture"))
    found = [f"{count:,} {what}{'' if count == 1 else 's'}" for count, what in counts if count]
    return f"The rows of {' and '.join(found)} in the database are damaged: what cannot be read of them is left out."
