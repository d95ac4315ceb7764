"""What a user can do with pictures that are there: find, star, bin, compare, bring along. Part of the facade."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from backend.errors import InvalidRequest, NotFound
from backend.image.infotext.differences import Difference, differences
from backend.request.request import FIELDS
from backend.store.accounts import Accounts
from backend.store.boards import Board, Boards, SharedBoard
from backend.store.database import Database
from backend.store.fair_queue import EVERYBODY
from backend.store.history import History
from backend.store.picture_files import Pictures
from backend.store.picture_import import Imported, ImportProgress, Imports
from backend.store.recycle_bin import RecycleBin
from backend.store.search import Query, Search
from backend.store.uploads import FIELDS_OF_PICTURES
from backend.store.users import Users
from backend.store.view_types import Image, TimeTaken, User

OF_FILES = ("output_name", "output_folder", "folder_pattern", "name_pattern")   # how somebody names what is his


@dataclass(frozen=True, slots=True)
class Entry:
    """A line of a list; `missing`: somebody has moved or deleted the file."""

    image: Image
    missing: bool


class Gallery:
    """The pictures of everybody. Thread-safe."""

    def __init__(self, database: Database, history: History, pictures: Pictures, users: Users, accounts: Accounts,
                 check_disk: Callable[[str], None]) -> None:
        """`check_disk` raises InvalidRequest when an owner may keep no more."""
        self.history, self.pictures, self.check_disk, self.accounts = history, pictures, check_disk, accounts
        self.user_of, self._users = users.of, users
        self.search, self.bin = Search(database), RecycleBin(database, pictures)
        self.boards = Boards(database)
        self.imports = Imports(history, pictures)

    def user_id(self, name: str) -> str:
        """Of a user whose account is known, or `EVERYBODY`. InvalidRequest names `users`."""
        if name == EVERYBODY:
            return EVERYBODY
        if (user := self._users.known(name)) is None:
            raise InvalidRequest(f"there is no {name} here", field="users")
        return user.id

    def as_(self, user: User) -> UserGallery:
        """One user's own pictures."""
        return UserGallery(self, user)


class UserGallery:
    """The pictures of one user; someone else's are NotFound."""

    def __init__(self, gallery: Gallery, user: User) -> None:
        self._all, self._owner = gallery, user.id

    def search(self, query: Query, limit: int = 60, before: str | None = None) -> tuple[list[Entry], int]:
        """Up to `limit` pictures, newest first, after the one with the id `before`; and how many the search has.

        The board of the query may be one that somebody else shares: then they are that user's.
        """
        owner = self._owner
        if query.board and not self._all.boards.is_of(query.board, owner):
            owner = self._shown_by(self._all.boards.owner_of_seen(query.board, owner))
            query = query.of_shared_board()
        found, total = self._all.search.page(owner, query, limit, before)
        return [Entry(self._told(one.image, owner), self._all.pictures.is_missing(one.path)) for one in found], total

    def seen(self, image_id: str) -> tuple[Image, str]:
        """A picture of the user's, or one on a board that somebody shares; and where its file lies. NotFound."""
        try:
            owner, image = self._owner, self._all.history.image(image_id, self._owner)
        except NotFound:
            owner = self._shown_by(self._all.boards.owner_of_picture(image_id, self._owner))
            image = self._all.history.image(image_id, owner)
        return self._told(image, owner), self._all.history.path(image_id, owner)

    def _shown_by(self, owner: str) -> str:
        """The owner of what is shared; NotFound where nobody can come in as that one any more."""
        if not self._all.accounts.can_enter(owner):
            raise NotFound("What was shared is closed with the account that shared it.")
        return owner

    def _told(self, image: Image, owner: str) -> Image:
        """Of another one's picture, nothing that names what only the owner can see."""
        if owner == self._owner:
            return image
        hidden = {name: FIELDS[name].default for name in (*FIELDS_OF_PICTURES, *OF_FILES) if name in image.request}
        return replace(image, job="", starred=False, request=image.request | hidden,
                       shared_by=self._all.user_of(owner).name)

    def choices(self) -> tuple[list[str], list[str]]:
        """Checkpoints and samplers that occur in the pictures."""
        return self._all.search.choices(self._owner)

    def is_missing(self, image_id: str) -> bool:
        return self._all.pictures.is_missing(self.seen(image_id)[1])

    def time_taken(self, image_id: str) -> TimeTaken | None:
        """How long the job of the user's picture took; None where that is not known."""
        return self._all.history.time_taken(image_id, self._owner)

    def star(self, ids: Collection[str], on: bool = True) -> None:
        """Give pictures a star, or take it away; all of them or none."""
        self._all.history.star(ids, on, self._owner)

    def put_in_bin(self, ids: Collection[str]) -> None:
        """Hide pictures everywhere but in the bin; all of them or none."""
        self._all.bin.put(ids, self._owner)

    def restore(self, ids: Collection[str]) -> None:
        """Take pictures out of the bin, to their old place; all of them or none."""
        self._all.bin.restore(ids, self._owner)

    def empty_bin(self) -> int:
        """Delete what lies in the bin for good; how many pictures. StorageError names what could not be deleted."""
        return self._all.bin.empty(self._owner)

    def compare(self, a: str, b: str) -> tuple[list[Difference], int]:
        """The settings in which two pictures differ, and how many they share."""
        return differences(*(self.seen(image)[0].infotext for image in (a, b)))

    def take_in(self, data: bytes, name: str, modified: datetime | None = None) -> Imported:
        """Keep a picture of another program; UserError says why one cannot be kept. `name` is its path there."""
        self._all.check_disk(self._owner)
        return self._all.imports.take(data, name, self._owner, modified)

    def take_in_folder(self, folder: Path) -> Iterator[ImportProgress]:
        """Keep every picture below a folder of this machine, telling after each how far it is."""
        return self._all.imports.folder(folder, self._owner)

    # ---- boards ----

    def boards(self) -> list[Board]:
        """Albums, in alphabetical order."""
        return self._all.boards.of(self._owner)

    def create_board(self, name: str) -> Board:
        """InvalidRequest for a name that is none, or that another board has."""
        return self._all.boards.create(name, self._owner)

    def rename_board(self, board: str, name: str) -> None:
        """InvalidRequest as in `create_board`."""
        self._all.boards.rename(board, name, self._owner)

    def delete_board(self, board: str) -> None:
        """Its pictures stay in the history."""
        self._all.boards.delete(board, self._owner)

    def put_on_board(self, board: str, ids: Collection[str]) -> None:
        """All of these pictures or none."""
        self._all.boards.add(board, ids, self._owner)

    def take_off_board(self, board: str, ids: Collection[str]) -> None:
        """Those that are not on it are passed over."""
        self._all.boards.remove(board, ids, self._owner)

    def share_board(self, board: str, users: Collection[str]) -> None:
        """Let the users with these names see it, and nobody else; `EVERYBODY` stands for all. InvalidRequest."""
        self._all.boards.share(board, [self._all.user_id(name) for name in users], self._owner)

    def shared_with(self, board: Board) -> list[str]:
        """The names of the users who see a board of the user's, or `EVERYBODY`."""
        return [user if user == EVERYBODY else self._all.user_of(user).name for user in board.shared]

    def boards_of_others(self) -> list[tuple[SharedBoard, str]]:
        """Albums that others share with the user, and the names of these."""
        return [(board, self._all.user_of(board.owner).name) for board in self._all.boards.seen_by(self._owner)
                if self._all.accounts.can_enter(board.owner)]

    def boards_with(self, image_id: str) -> list[str]:
        """The ids of the boards that a picture is on."""
        return self._all.boards.with_picture(image_id, self._owner)
