"""The history of somebody with 20,000 pictures: how long the first page, a search and a page far down take."""

from __future__ import annotations

import random
import statistics
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import insert

from backend.facade.gallery import Gallery
from backend.image.infotext.entries import labels
from backend.request.request import Request
from backend.store.accounts import Accounts
from backend.store.database import Database
from backend.store.history import History
from backend.store.picture_files import Pictures
from backend.store.search import Query
from backend.store.tables import ImageRow, JobRow
from backend.store.users import Users
from backend.store.view_types import LOCAL

ROWS, PAGE, ROUNDS = 20_000, 60, 15
START = datetime(2024, 1, 1, tzinfo=UTC)
SEARCHES = {
    "a rare word": Query(words="zanzibar"), "a word of every picture": Query(words="masterpiece"),
    "one letter": Query(words="s"), "ten words": Query(words="s c p m b d a e f w"),
    "a phrase without a word": Query(words='"best quality" -castle'), "a word nowhere": Query(words="qqqq"),
    "checkpoint and sampler": Query(checkpoint="model 3", sampler="Euler a"), "a seed": Query(seed=12345),
    "largest first": Query(order="largest"), "starred first": Query(order="starred"), "a kind": Query(kind="txt2img"),
    "a board by its name": Query(words="board:castles"),
    "a month": Query(since=START + timedelta(days=60), until=START + timedelta(days=90)), "stars": Query(starred=True),
    "a pasted prompt": Query(words=", ".join(f"word{number} detail" for number in range(150))),
}


def measure(device: str) -> dict[str, Any]:
    """Milliseconds, medians; "the slowest search" is the one that a person would wait for longest."""
    with tempfile.TemporaryDirectory() as folder:
        database = Database(Path(folder) / "easel.db")
        _fill(database)
        users = Users(database)
        gallery = Gallery(database, History(database), Pictures(Path(folder), users.of), users,
                          Accounts(database, users, {}, ()), lambda owner: None).as_(LOCAL)
        before = _far_down(gallery)
        found = {name: _milliseconds(lambda query=query: gallery.search(query, PAGE))
                 for name, query in SEARCHES.items()}
        result = {
            "rows": ROWS,
            "ms first page": _milliseconds(lambda: gallery.search(Query(), PAGE)),
            "ms deep page": _milliseconds(lambda: gallery.search(Query(), PAGE, before)),
            "ms choices": _milliseconds(lambda: gallery.choices()),
            "ms search": found,
            "ms slowest search": max(found.values()),
        }
        database.close()
    return result


def _milliseconds(ask: Callable[[], object]) -> float:
    seconds = []
    for _ in range(ROUNDS):
        started = time.perf_counter()
        ask()
        seconds.append(time.perf_counter() - started)
    return round(statistics.median(seconds) * 1000, 1)


def _far_down(gallery: Gallery) -> str:
    """The id of a picture with three quarters of all before it."""
    before = None
    for _ in range(ROWS * 3 // 4 // 500):
        before = gallery.search(Query(), 500, before)[0][-1].image.id
    return before


def _fill(database: Database) -> None:
    dice = random.Random(1)
    letters = "abcdefghijklmnoprstuvw"
    vocabulary = ["".join(dice.choices(letters, k=dice.randrange(3, 10))) for _ in range(4000)]
    images = [_image(dice, vocabulary, number) for number in range(ROWS)]
    values = Request().to_json()
    jobs = [{"id": image["job"], "owner": LOCAL.id, "state": "done", "place": number, "request": values,
             "checkpoint": ""}
            for number, image in enumerate(images)]
    with database.write() as session:
        session.execute(insert(JobRow), jobs)
        session.execute(insert(ImageRow), images)


def _image(dice: random.Random, vocabulary: list[str], number: int) -> dict[str, Any]:
    words = ["masterpiece", *dice.choices(vocabulary, k=40)]
    words += ["zanzibar"] * (number % 5000 == 0) + ["castle"] * (number % 3 == 0)
    sampler, seed = dice.choice(["Euler a", "DPM++ 2M", "DDIM"]), dice.randrange(2**32)
    text = (f"best quality, {', '.join(words)}\nNegative prompt: blurry, bad hands\nSteps: 20, Sampler: {sampler}, "
            f"CFG scale: 7, Seed: {seed}, Size: 512x512, Model: model {number % 7}")
    model, sampler = labels(text)
    return {"id": f"i{number}", "job": f"j{number}", "index": 0, "owner": LOCAL.id, "path": f"{number}.png",
            "width": 512, "height": 512, "seed": seed, "infotext": text, "format": "png", "model": model,
            "sampler": sampler, "created": START + timedelta(minutes=number), "starred": number % 50 == 0}
