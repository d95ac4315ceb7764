"""How many examples hypothesis tries: all of them in `make test`, a fifth in `make quick`.

No example has to come within a time by the clock: beside other work any takes a second now and then. What has to be quick
is measured by the test itself, in the processor's time.
"""

from __future__ import annotations

from hypothesis import HealthCheck, settings

QUICK = "quick"
ALL = "all"
SHARE = 5
USUAL = 100


def register() -> None:
    """The two profiles, before pytest looks for the one that is asked for; all examples are the default."""
    settings.register_profile(ALL, max_examples=USUAL, deadline=None, suppress_health_check=[HealthCheck.too_slow])
    settings.register_profile(QUICK, settings.get_profile(ALL), max_examples=USUAL // SHARE)
    settings.load_profile(ALL)


def examples(count: int) -> settings:
    """A decorator: `count` examples, or their share."""
    return settings(max_examples=count // SHARE if settings.get_current_profile_name() == QUICK else count)
