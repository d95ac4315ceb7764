"""The order of the tests: fast and narrow first, the browser last (its driver keeps an event loop in the main thread)."""

import pytest

ORDER = ("pure", "test_house.py", "tiny", "gpu", "browser")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: next((n for n, place in enumerate(ORDER) if place in item.path.parts), len(ORDER)))
