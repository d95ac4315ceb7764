"""How many examples hypothesis tries: all of them in `make test`, a fifth in `make quick`."""

from __future__ import annotations

from datetime import timedelta

from hypothesis import settings

QUICK = "quick"
SHARE = 5


def examples(count: int, deadline: timedelta | None = None) -> settings:
    """A decorator: `count` examples, each within `deadline` where there is one."""
    return settings(max_examples=count // SHARE if settings.get_current_profile_name() == QUICK else count, deadline=deadline)
