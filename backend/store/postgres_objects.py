"""What a PostgreSQL's database has beside the tables: words to search, and triggers that tell the other fronts.

Both belong to the tables, so that no way of writing a row can forget them.
"""

from __future__ import annotations

import sys
import unicodedata

from sqlalchemy import Connection, text

CHANNEL = "easel"
MARKS = ("\u0300", "\u036f")        # are written over a letter of Latin, Greek or Cyrillic
COLLATION = "und-x-icu"             # knows the small letters of all scripts; a server may be built without

# Of the words of a text: small, without accents, each with a space on both sides. See `search`.
_WORDS = r"""CREATE FUNCTION easel_words(told text) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT ' ' || lower(regexp_replace(regexp_replace(normalize(told, NFD), '[{marks}]', '', 'g'),
                                       '[{separators}]+', ' ', 'g') {collation}) || ' ' $$"""
_STATEMENTS = (
    "ALTER TABLE images ADD COLUMN words text GENERATED ALWAYS AS (easel_words(infotext)) STORED",
    f"""CREATE FUNCTION easel_tell() RETURNS trigger LANGUAGE plpgsql AS $$
    DECLARE who text := coalesce(current_setting('easel.front', true), '');
    BEGIN
        IF TG_TABLE_NAME = 'jobs' THEN
            PERFORM pg_notify('{CHANNEL}', who || ' job ' || CASE TG_OP WHEN 'DELETE' THEN old.id ELSE new.id END);
        ELSE
            PERFORM pg_notify('{CHANNEL}', who || ' pauses');
        END IF;
        RETURN NULL;
    END $$""",
    """CREATE TRIGGER jobs_told AFTER INSERT OR DELETE OR UPDATE OF state, place, lease, attempts, cancelling ON jobs
        FOR EACH ROW EXECUTE FUNCTION easel_tell()""",
    """CREATE TRIGGER plots_told AFTER UPDATE OF paused, rank ON plots
        FOR EACH ROW EXECUTE FUNCTION easel_tell()""",
    """CREATE TRIGGER pauses_told AFTER INSERT OR DELETE ON paused_queues
        FOR EACH ROW EXECUTE FUNCTION easel_tell()""",
)


def create_objects(connection: Connection) -> None:
    """Beside fresh tables, in the caller's transaction."""
    known = connection.scalar(text("SELECT count(*) FROM pg_collation WHERE collname = :name"), {"name": COLLATION})
    words = _WORDS.format(marks="-".join(map(_escaped, map(ord, MARKS))), separators=_separators(),
                          collation=f'COLLATE "{COLLATION}"' if known else "")
    for statement in (words, *_STATEMENTS):
        connection.exec_driver_sql(statement)


def _separators() -> str:
    """The characters that belong to no word, as ranges of a regular expression."""
    ranges: list[tuple[int, int]] = []
    for code in range(1, sys.maxunicode + 1):
        kind = unicodedata.category(chr(code))
        if kind[0] in "LMN" or kind in ("Co", "So", "Cn", "Cs"):
            continue
        if ranges and ranges[-1][1] == code - 1:
            ranges[-1] = ranges[-1][0], code
        else:
            ranges.append((code, code))
    return "".join(f"{_escaped(first)}-{_escaped(last)}" for first, last in ranges)


def _escaped(code: int) -> str:
    return f"\\U{code:08x}"


def plain_words(told: str) -> str:
    """What a person looks for as `easel_words` has it, without the spaces around."""
    first, last = MARKS
    return "".join(each for each in unicodedata.normalize("NFD", told) if not first <= each <= last).lower()
