"""A house as one user finds it."""

from __future__ import annotations

from typing import Any

from backend import LOCAL, Backend, Job, User

SIZE = {"width": 64, "height": 64}


class Guest:
    """The user's own door, and behind it what is everybody's. No account is the local user."""

    def __init__(self, house: Backend | Guest, account: str = "") -> None:
        self.backend: Backend = house.backend if isinstance(house, Guest) else house
        self.user = self.backend.user(account) if account else LOCAL
        self.door = self.backend.as_(self.user)

    def submit(self, prompt: str = "", **values: Any) -> Job:
        return self.door.submit({"prompt": prompt, "seed": 7, "variation_seed": 1, **SIZE, **values})

    def wait(self, job: str, timeout: float = 60) -> Job:
        return self.door.wait(job, timeout)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.door if hasattr(self.door, name) else self.backend, name)


def user_of(owner: str) -> User:
    """Users whose ids are their names, for tests without a table of users."""
    return LOCAL if owner == LOCAL.id else User(owner, owner)
