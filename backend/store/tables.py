"""The tables. A job's row holds all that it needs, an image's row all that it is."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar

from sqlalchemy import (
    DDL,
    JSON,
    BigInteger,
    CheckConstraint,
    ColumnElement,
    DateTime,
    Float,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    UniqueConstraint,
    event,
    func,
    select,
    text,
    type_coerce,
)
from sqlalchemy.engine import Dialect
from sqlalchemy.engine.default import DefaultExecutionContext
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, validates
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement
from sqlalchemy.types import TypeDecorator

from backend.image.infotext.entries import labels
from backend.request.choices import EXTRAS
from backend.request.request import Request
from backend.store.view_types import ROLES, STATES

REVISION = "0019"       # the newest file in migrations/versions; a test compares
WORDS = "images_words"  # the full-text index over the images' settings texts

# The index holds no text of its own; triggers keep it in step, so that no way of writing a row can forget it.
# Letters, numbers and pictograms make words; accents and case do not count.
_WORDS_MADE = (
    """CREATE VIRTUAL TABLE images_words USING fts5(infotext, content='images', content_rowid='number', prefix='1 2',
        tokenize="unicode61 remove_diacritics 2 categories 'L* M* N* Co So'")""",
    """CREATE TRIGGER images_inserted AFTER INSERT ON images BEGIN
        INSERT INTO images_words(rowid, infotext) VALUES (new.number, new.infotext); END""",
    """CREATE TRIGGER images_deleted AFTER DELETE ON images BEGIN
        INSERT INTO images_words(images_words, rowid, infotext) VALUES ('delete', old.number, old.infotext); END""",
    """CREATE TRIGGER images_updated AFTER UPDATE OF number, infotext ON images BEGIN
        INSERT INTO images_words(images_words, rowid, infotext) VALUES ('delete', old.number, old.infotext);
        INSERT INTO images_words(rowid, infotext) VALUES (new.number, new.infotext); END""",
)


UNKNOWN_MOMENT = datetime(1970, 1, 1, tzinfo=UTC)
_NO_MOMENT = text("'1970-01-01 00:00:00.000000'")


class Moment(TypeDecorator[datetime]):
    """A UTC time; SQLite keeps no zone, so it is taken off on the way in and put back on the way out.

    What is no time in a damaged row reads as `UNKNOWN_MOMENT`.
    """

    impl = DateTime
    cache_ok = True

    def result_processor(self, dialect: Dialect, coltype: object) -> Callable[[Any], datetime | None]:
        read = super().result_processor(dialect, coltype)

        def tolerant(value: Any) -> datetime | None:
            try:
                return read(value) if read else value
            except (ValueError, TypeError):
                return UNKNOWN_MOMENT

        return tolerant

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        return value.astimezone(UTC).replace(tzinfo=None) if value else None

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        return value.replace(tzinfo=UTC) if value else None


Long = Integer().with_variant(BigInteger(), "postgresql")      # 64 bits; SQLite's integers have them anyway


class Unsigned(TypeDecorator[int]):
    """A whole number of 64 bits without a sign; SQLite's have one, so the upper half is kept below zero."""

    impl = Long
    cache_ok = True

    def process_bind_param(self, value: int | None, dialect: Dialect) -> int | None:
        return value - 2**64 if value is not None and value >= 2**63 else value

    def process_result_value(self, value: int | None, dialect: Dialect) -> int | None:
        return self.signless(value) if isinstance(value, int) else value

    @staticmethod
    def signless(value: int) -> int:
        """As it was before it was kept."""
        return int(value) % 2**64


class Whole(TypeDecorator[int]):
    """A whole number; what is none in a damaged row, which SQLite keeps all the same, reads as 0."""

    impl = Integer
    cache_ok = True
    python_type = int

    def process_result_value(self, value: Any, dialect: Dialect) -> int | None:
        return value if value is None or isinstance(value, int) else 0


class WholeLong(Whole):
    """One of 64 bits."""

    impl = Long
    cache_ok = True


class Words(TypeDecorator[str]):
    """A text; the bytes that a damaged row may hold in its place are read as well as they can be."""

    impl = String
    cache_ok = True
    python_type = str

    def process_result_value(self, value: Any, dialect: Dialect) -> str | None:
        return value.decode("utf-8", "replace") if isinstance(value, bytes) else value


class Damaged(dict[str, Any]):
    """In the place of a row's JSON object that cannot be read: empty."""


class JsonObject(TypeDecorator[dict[str, Any]]):
    """A JSON object; anything else in a damaged row reads as `Damaged`."""

    impl = JSON
    cache_ok = True

    def process_result_value(self, value: Any, dialect: Dialect) -> dict[str, Any]:
        return value if isinstance(value, dict) else Damaged()


class JsonList(TypeDecorator[list[Any]]):
    """A JSON list; anything else in a damaged row reads as an empty one."""

    impl = JSON
    cache_ok = True

    def process_result_value(self, value: Any, dialect: Dialect) -> list[Any]:
        return value if isinstance(value, list) else []


def tolerant_json(text: str) -> Any:
    """None for what is no JSON: one damaged row must not make a whole list unreadable."""
    try:
        return json.loads(text)
    except (ValueError, TypeError, RecursionError):
        return None


def now() -> datetime:
    return datetime.now(UTC)


def _created(context: DefaultExecutionContext) -> datetime:
    return context.get_current_parameters()["created"]


class Base(DeclarativeBase):
    metadata = MetaData(naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s", "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s", "fk": "fk_%(table_name)s_%(column_0_name)s",
        "pk": "pk_%(table_name)s",
    })
    type_annotation_map: ClassVar = {dict[str, Any]: JsonObject, list[Any]: JsonList, datetime: Moment,
                                     int: Whole, str: Words}


class UserRow(Base):
    """An account that somebody has logged in with. `LOCAL` has no row. `owner` in the other tables is a user's id."""

    __tablename__ = "users"
    __table_args__ = (UniqueConstraint("name"),)

    id: Mapped[str] = mapped_column(Words(40), primary_key=True)
    name: Mapped[str]


class AccountRow(Base):
    """That this user may log in: how, and what is allowed then. See `store.accounts`."""

    __tablename__ = "accounts"
    __table_args__ = (CheckConstraint(f"role IN {ROLES}", name="role"), UniqueConstraint("subject"))

    owner: Mapped[str] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), primary_key=True)
    role: Mapped[str] = mapped_column(Words(10))
    password: Mapped[str] = mapped_column(default="")               # an argon2 hash; "": none opens it
    subject: Mapped[str | None]                                     # who it is for an OpenID provider: issuer and "sub"
    disabled: Mapped[bool] = mapped_column(default=False)
    created: Mapped[datetime] = mapped_column(default=now)


class PasswordLinkRow(Base):
    """Who has the secret may choose another password for this account; only its hash is kept."""

    __tablename__ = "password_links"
    __table_args__ = (Index(None, "digest", unique=True),)

    owner: Mapped[str] = mapped_column(ForeignKey("accounts.owner", ondelete="CASCADE"), primary_key=True)
    digest: Mapped[str] = mapped_column(Words(64))
    expires: Mapped[datetime]


class SessionRow(Base):
    """A browser that is logged in. Only hashes of tokens are kept; see `store.sessions`."""

    __tablename__ = "sessions"
    __table_args__ = (Index(None, "token", unique=True), Index(None, "next", unique=True), Index(None, "owner"))

    id: Mapped[str] = mapped_column(Words(40), primary_key=True)
    owner: Mapped[str] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"))
    token: Mapped[str] = mapped_column(Words(64))
    next: Mapped[str | None] = mapped_column(Words(64))            # offered to the browser, not yet seen again
    previous: Mapped[str] = mapped_column(Words(64), default="")   # holds for a minute after the change
    stamp: Mapped[str] = mapped_column(Words(64))                  # of the password that opened it
    created: Mapped[datetime] = mapped_column(default=now)
    seen: Mapped[datetime] = mapped_column(default=now)
    rotated: Mapped[datetime] = mapped_column(default=now)


class AccessTokenRow(Base):
    """A token for programs; only its hash is kept."""

    __tablename__ = "access_tokens"
    __table_args__ = (Index(None, "digest", unique=True), Index(None, "owner"))

    id: Mapped[str] = mapped_column(Words(40), primary_key=True)
    owner: Mapped[str] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"))
    name: Mapped[str]
    digest: Mapped[str] = mapped_column(Words(64))
    scopes: Mapped[list[Any]]
    created: Mapped[datetime] = mapped_column(default=now)
    expires: Mapped[datetime | None]
    used: Mapped[datetime | None]


class InvitationRow(Base):
    """A link by which one person may make an account."""

    __tablename__ = "invitations"
    __table_args__ = (Index(None, "digest", unique=True),)

    id: Mapped[str] = mapped_column(Words(40), primary_key=True)
    digest: Mapped[str] = mapped_column(Words(64))
    role: Mapped[str] = mapped_column(Words(10))
    created: Mapped[datetime] = mapped_column(default=now)
    expires: Mapped[datetime]
    used: Mapped[datetime | None]
    account: Mapped[str] = mapped_column(default="")                # who took it


class JobRow(Base):
    __tablename__ = "jobs"
    __table_args__ = (
        CheckConstraint(f"state IN {STATES}", name="state"),
        UniqueConstraint("place"),
        Index(None, "state", "place"),
        Index(None, "owner", "sort_moment"),
        Index(None, "plot", "cell", unique=True),
    )

    id: Mapped[str] = mapped_column(Words(40), primary_key=True)
    owner: Mapped[str]
    plot: Mapped[str | None] = mapped_column(Words(40))            # whose cell it is; the cell is unique in its plot
    cell: Mapped[str | None] = mapped_column(Words(100))           # index of its value on each axis: "2,0,1"
    state: Mapped[str] = mapped_column(Words(10), default="queued")
    place: Mapped[int] = mapped_column(WholeLong)                   # order of arrival; kept when a job is queued again
    request: Mapped[dict[str, Any]]
    checkpoint: Mapped[str]
    created: Mapped[datetime] = mapped_column(default=now)
    sort_moment: Mapped[datetime] = mapped_column(default=_created, server_default=_NO_MOMENT)  # see next_sort_moment
    started: Mapped[datetime | None]
    ended: Mapped[datetime | None]
    attempts: Mapped[int] = mapped_column(default=0)                # worker deaths while it ran
    died_at: Mapped[int | None]                                     # how many pictures it had at the last of them
    dismissed: Mapped[bool] = mapped_column(default=False, server_default="0")      # its owner has read how it ended
    cancelling: Mapped[bool] = mapped_column(default=False)         # asked for; outlives the worker that should obey
    skipped: Mapped[list[Any]] = mapped_column(default=list)        # indices left out on request
    problems: Mapped[list[Any]] = mapped_column(default=list)       # {"field", "message"}
    notes: Mapped[list[Any]] = mapped_column(default=list)
    forgotten: Mapped[bool] = mapped_column(default=False, server_default="0")      # its owner has deleted it
    worker: Mapped[str | None]                                      # the device's name
    lease: Mapped[str | None] = mapped_column(index=True)           # one life of one worker; its ghosts match no row


class PlotRow(Base):
    """A plot: what its cells have in common, and what each axis changes. The cells are rows of `jobs`."""

    __tablename__ = "plots"
    __table_args__ = (Index(None, "owner", "sort_moment"),)

    id: Mapped[str] = mapped_column(Words(40), primary_key=True)
    owner: Mapped[str]
    title: Mapped[str]
    kind: Mapped[str] = mapped_column(Words(20))
    created: Mapped[datetime] = mapped_column(default=now)
    sort_moment: Mapped[datetime] = mapped_column(default=_created)
    request: Mapped[dict[str, Any]]                                 # checked, its seeds drawn, its wildcards in place
    axes: Mapped[list[Any]]                                         # {"label", "values": as typed, "parsed", "shown"}
    options: Mapped[dict[str, Any]]
    scores: Mapped[dict[str, Any]] = mapped_column(default=dict, server_default=text("'{}'"))   # see `store.scores`
    paused: Mapped[bool] = mapped_column(default=False)
    rank: Mapped[int] = mapped_column(default=0, server_default=text("0"))                      # see `store.plot_ranks`


class ImageRow(Base):
    __tablename__ = "images"
    __table_args__ = (
        UniqueConstraint("id"),
        UniqueConstraint("job", "index"),
        UniqueConstraint("path"),
        Index(None, "owner", "deleted", "binned", "sort_moment"),
        Index(None, "owner", "digest"),
        {"sqlite_autoincrement": True},
    )

    number: Mapped[int] = mapped_column(primary_key=True)           # order of saving
    id: Mapped[str] = mapped_column(Words(40))
    job: Mapped[str] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"))
    index: Mapped[int] = mapped_column(Integer)                     # a picture of damaged numbers is set aside, not
    owner: Mapped[str]
    path: Mapped[str]                                               # below the outputs folder, with /
    width: Mapped[int] = mapped_column(Integer)                     # shown with others: see `history.image_of`
    height: Mapped[int] = mapped_column(Integer)
    seed: Mapped[int] = mapped_column(Unsigned)
    infotext: Mapped[str]
    format: Mapped[str] = mapped_column(Words(8))
    created: Mapped[datetime] = mapped_column(default=now)
    sort_moment: Mapped[datetime] = mapped_column(default=_created, server_default=_NO_MOMENT)  # see next_sort_moment
    deleted: Mapped[bool] = mapped_column(default=False)            # for good: the row only says "never make it again"
    binned: Mapped[datetime | None]                                 # since when it lies in the bin
    starred: Mapped[bool] = mapped_column(default=False, server_default="0")
    unfinished: Mapped[bool] = mapped_column(default=False, server_default="0")     # it was interrupted
    model: Mapped[str] = mapped_column(default="", server_default=text("''"))       # as the infotext tells; for filters
    sampler: Mapped[str] = mapped_column(default="", server_default=text("''"))
    kind: Mapped[str] = mapped_column(Words(10), default="", server_default=text("''"))        # of KINDS; for filters
    digest: Mapped[str] = mapped_column(Words(64), default="", server_default=text("''"))      # SHA-256 of the file

    @validates("infotext")
    def _labelled(self, _: str, told: str) -> str:
        self.model, self.sampler = labels(told)
        return told


for _statement in _WORDS_MADE:
    event.listen(ImageRow.__table__, "after_create", DDL(_statement).execute_if(dialect="sqlite"))


def next_sort_moment(
    session: Session, table: type[JobRow | ImageRow | PlotRow], owner: str, created: datetime
) -> datetime:
    """By which a row that is made at the moment `created` is sorted in the owner's lists: `created` itself.

    Where the clock was set back, it is the microsecond after the owner's newest row instead. A file that was found is
    sorted by its own day, which needs no such care.
    """
    newest = select(func.max(table.sort_moment)).where(table.owner == owner)
    # Asked for each list by itself, the index gives the answer without a look at every row.
    in_bin = ImageRow.binned.is_not(None)
    lists = [newest.where(~ImageRow.deleted, each) for each in (~in_bin, in_bin)]
    found = [moment for query in (lists if table is ImageRow else [newest]) if (moment := session.scalar(query))]
    return max(created, *(moment + timedelta(microseconds=1) for moment in found)) if found else created


KINDS = ("txt2img", "img2img", "inpaint", "extras", "grid")


def kind_of(request: Request, index: int) -> str:
    """How a picture was made, for the history's filter; a grid has an index below zero."""
    if index < 0:
        return "grid"
    if request.process == EXTRAS:
        return "extras"
    return ("inpaint" if request.mask else "img2img") if request.init_image else "txt2img"


def in_request(name: str) -> ColumnElement[str | None]:
    """The value of a field in a job's request as text, of a switch "0" or "1"; NULL where there is none, or the row
    is damaged."""
    return JsonText(JobRow.request, name)


class JsonText(FunctionElement[str]):
    """The value of a name in a column of JSON objects, as `in_request` has it."""

    type = String()
    inherit_cache = True

    def __init__(self, column: ColumnElement[Any], name: str) -> None:
        super().__init__(type_coerce(column, String), name)


@compiles(JsonText)
def _json_text(element: JsonText, compiler: SQLCompiler, **kw: Any) -> str:
    column, name = (compiler.process(part, **kw) for part in element.clauses)
    return f"CAST(json_extract(CASE WHEN json_valid({column}) THEN {column} END, '$.\"' || {name} || '\"') AS VARCHAR)"


@compiles(JsonText, "postgresql")
def _json_text_of_postgres(element: JsonText, compiler: SQLCompiler, **kw: Any) -> str:
    column, name = (compiler.process(part, **kw) for part in element.clauses)
    plain = f"{column} ->> CAST({name} AS text)"
    return (f"CASE WHEN json_typeof({column}) = 'object' THEN CASE json_typeof({column} -> CAST({name} AS text)) "
            f"WHEN 'boolean' THEN CASE {plain} WHEN 'true' THEN '1' ELSE '0' END ELSE {plain} END END")


def is_first_cell() -> ColumnElement[bool]:
    """Whether a job is the cell of a plot that has the first value of each axis: "0,0"."""
    return func.replace(func.replace(JobRow.cell, "0", ""), ",", "") == ""


class PreferenceRow(Base):
    """What a person has chosen; see `backend.request.preferences`."""

    __tablename__ = "preferences"

    owner: Mapped[str] = mapped_column(primary_key=True)
    chosen: Mapped[dict[str, Any]]


class BoardRow(Base):
    """An album: pictures that somebody wants to see together."""

    __tablename__ = "boards"
    __table_args__ = (Index(None, "owner"),)

    id: Mapped[str] = mapped_column(Words(40), primary_key=True)
    owner: Mapped[str]
    name: Mapped[str]
    created: Mapped[datetime] = mapped_column(default=now)


class BoardPictureRow(Base):
    """This picture is on that board; it may be on several."""

    __tablename__ = "board_pictures"
    __table_args__ = (Index(None, "image"),)

    board: Mapped[str] = mapped_column(ForeignKey("boards.id", ondelete="CASCADE"), primary_key=True)
    image: Mapped[str] = mapped_column(ForeignKey("images.id", ondelete="CASCADE"), primary_key=True)


class ScoreRow(Base):
    """What was measured of one content of a picture: a value, or the reason why there is none."""

    __tablename__ = "scores"
    __table_args__ = ({"sqlite_with_rowid": False},)

    picture: Mapped[str] = mapped_column(ForeignKey("images.id", ondelete="CASCADE"), primary_key=True)
    kind: Mapped[str] = mapped_column(Words(20), primary_key=True)
    reference: Mapped[str] = mapped_column(Words(64), primary_key=True)    # the content of what it is compared with
    encoder: Mapped[str] = mapped_column(primary_key=True)                  # a CLIP and the state of its file
    content: Mapped[str] = mapped_column(Words(64))
    value: Mapped[float | None] = mapped_column(Float)
    problem: Mapped[str] = mapped_column(default="")


class ShareLinkRow(Base):
    """Who has the token may see one picture or plot of the owner's, until `expires`; see `store.share_links`."""

    __tablename__ = "share_links"
    __table_args__ = (Index(None, "owner"), Index(None, "target"))

    token: Mapped[str] = mapped_column(Words(40), primary_key=True)
    owner: Mapped[str]
    kind: Mapped[str] = mapped_column(Words(10))                   # "picture" or "plot"
    target: Mapped[str] = mapped_column(Words(40))                 # its id
    settings: Mapped[bool]                                          # whether it is seen how it was made
    created: Mapped[datetime] = mapped_column(default=now)
    expires: Mapped[datetime | None]


class BoardShareRow(Base):
    """This user, or with `EVERYBODY` of the fair scheduler every one, sees that board."""

    __tablename__ = "board_shares"
    __table_args__ = (Index(None, "user"),)

    board: Mapped[str] = mapped_column(ForeignKey("boards.id", ondelete="CASCADE"), primary_key=True)
    user: Mapped[str] = mapped_column(Words(40), primary_key=True)


class UserLimitRow(Base):
    """The limits of a user that are not the operator's; see `store.user_limits`."""

    __tablename__ = "user_limits"

    owner: Mapped[str] = mapped_column(primary_key=True)
    limits: Mapped[dict[str, Any]]


class AuditRow(Base):
    """What an admin or a login did; names as they were then. Nothing secret."""

    __tablename__ = "audit_log"
    __table_args__ = (Index(None, "moment"), {"sqlite_autoincrement": True})

    number: Mapped[int] = mapped_column(primary_key=True)
    moment: Mapped[datetime] = mapped_column(default=now)
    actor: Mapped[str]                                              # a name, "" for nobody
    action: Mapped[str] = mapped_column(Words(40))
    subject: Mapped[str]                                            # on whom or what
    address: Mapped[str]
    detail: Mapped[str]


class WebhookRow(Base):
    """Whom to tell how a job ended."""

    __tablename__ = "webhooks"
    __table_args__ = ({"sqlite_with_rowid": False},)

    job: Mapped[str] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True)
    url: Mapped[str]
    secret: Mapped[str]                                             # "" = what is sent is not signed
    attempts: Mapped[int] = mapped_column(default=0)                # that failed since the job's last end
    due: Mapped[datetime] = mapped_column(default=now)              # not before this moment
    settled: Mapped[datetime | None]                                # the end of the job that was told, or given up
    problem: Mapped[str] = mapped_column(default="")                # why the last attempt failed


class IdempotencyKeyRow(Base):
    """A request with this key has queued this job; the same request again queues no other."""

    __tablename__ = "idempotency_keys"
    __table_args__ = ({"sqlite_with_rowid": False},)

    owner: Mapped[str] = mapped_column(primary_key=True)
    key: Mapped[str] = mapped_column(Words(255), primary_key=True)
    digest: Mapped[str] = mapped_column(Words(64))                 # of the request
    job: Mapped[str] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"))
    created: Mapped[datetime] = mapped_column(default=now)


class PausedQueueRow(Base):
    """Of this owner nothing starts; `EVERYBODY` of the fair scheduler stands for all."""

    __tablename__ = "paused_queues"

    owner: Mapped[str] = mapped_column(primary_key=True)


class ModelHashRow(Base):
    """The hash of a model file, which holds for this size and this time of its last change (ns)."""

    __tablename__ = "model_hashes"

    path: Mapped[str] = mapped_column(primary_key=True)
    size: Mapped[int] = mapped_column(BigInteger)
    changed: Mapped[int] = mapped_column(BigInteger)
    sha256: Mapped[str] = mapped_column(Words(64))


class FrontRow(Base):
    """A front process that works on this database; see `store.fronts`."""

    __tablename__ = "fronts"

    id: Mapped[str] = mapped_column(Words(40), primary_key=True)
    beat: Mapped[int] = mapped_column(default=0)                    # counts up while it lives
    address: Mapped[str] = mapped_column(default="")                # where it listens, for people
    started: Mapped[datetime] = mapped_column(default=now)


class LoginTryRow(Base):
    """A try to log in, of an address at an account; only hashes of both are kept. See `store.shared_login_tries`."""

    __tablename__ = "login_tries"
    __table_args__ = (Index(None, "address", "second"), Index(None, "account", "second"), Index(None, "second"))

    id: Mapped[int] = mapped_column(primary_key=True)
    address: Mapped[str] = mapped_column(Words(64))
    account: Mapped[str] = mapped_column(Words(64))
    second: Mapped[float] = mapped_column(Float)                    # by the database's clock, since 1970
    opened: Mapped[bool] = mapped_column(default=False)             # the password was right
    home: Mapped[bool] = mapped_column(default=False)               # from an address that had opened the account before


class MetaRow(Base):
    """Facts about the database itself."""

    __tablename__ = "meta"

    key: Mapped[str] = mapped_column(primary_key=True)
    value: Mapped[str]
