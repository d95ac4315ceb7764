"""The boards of the History tab: albums of the caller's own pictures."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any

from fastapi import APIRouter, Body

from backend.http.dependencies import FrontDoor
from backend.http.history import Ids

Name = Annotated[str, Body(embed=True, max_length=1000)]
router = APIRouter(prefix="/easel/boards")


@router.get("")
def boards(door: FrontDoor) -> dict[str, Any]:
    """The caller's boards by name, and how many pictures each has."""
    return {"boards": [asdict(board) for board in door.gallery.boards()]}


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
