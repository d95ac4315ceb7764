"""The boards of the History tab: albums of the caller's own pictures."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any

from fastapi import APIRouter, Body

from backend.http.dependencies import FrontDoor
from backend.http.easel.history import Ids

Name = Annotated[str, Body(embed=True, max_length=1000)]
Names = Annotated[list[str], Body(embed=True, max_length=1000)]
router = APIRouter(prefix="/easel/boards")


@router.get("")
def boards(door: FrontDoor) -> dict[str, Any]:
    """The caller's boards by name, how many pictures each has and who sees it; and those that others share.

    "*" among `shared` is everybody.
    """
    gallery = door.gallery
    return {"boards": [asdict(board) | {"shared": gallery.shared_with(board)} for board in gallery.boards()],
            "of_others": [asdict(board) | {"owner": owner} for board, owner in gallery.boards_of_others()],
            "people": [name for name in door.backend.people() if name != door.user.name]}


@router.post("/{board}/share")
def share(door: FrontDoor, board: str, users: Names) -> dict[str, bool]:
    """Lets the people with these names see a board and its pictures, and nobody else; "*" is everybody."""
    door.gallery.share_board(board, users)
    return {"ok": True}


@router.post("")
def create(door: FrontDoor, name: Name) -> dict[str, Any]:
    """A new board."""
    return asdict(door.gallery.create_board(name))


@router.post("/{board}/rename")
def rename(door: FrontDoor, board: str, name: Name) -> dict[str, bool]:
    """Another name for a board."""
    door.gallery.rename_board(board, name)
    return {"ok": True}


@router.post("/{board}/delete")
def delete(door: FrontDoor, board: str) -> dict[str, bool]:
    """Its pictures stay in the history."""
    door.gallery.delete_board(board)
    return {"ok": True}


@router.post("/{board}/add")
def add(door: FrontDoor, board: str, ids: Ids) -> dict[str, bool]:
    """Puts these pictures on a board."""
    door.gallery.put_on_board(board, ids)
    return {"ok": True}


@router.post("/{board}/remove")
def remove(door: FrontDoor, board: str, ids: Ids) -> dict[str, bool]:
    """Takes these pictures off a board."""
    door.gallery.take_off_board(board, ids)
    return {"ok": True}
