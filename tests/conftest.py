"""The order of the tests: fast and narrow first, the browser last (its driver keeps an event loop in the main thread).

A browser test that fails is run once more, and the report says so: a busy machine stalls a page for longer than any
honest waiting time, while a defect fails twice.
"""

import pytest

ORDER = ("pure", "test_house.py", "tiny", "gpu", "browser")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: next((n for n, place in enumerate(ORDER) if place in item.path.parts), len(ORDER)))
    for item in items:
        if "browser" in item.path.parts:
            item.add_marker(pytest.mark.flaky(reruns=1))
