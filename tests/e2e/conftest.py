"""The end-to-end tests: dnslb between real mail servers and real resolvers, all started by the tests themselves."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.e2e.members import Members
from tests.e2e.processes import Stage

if TYPE_CHECKING:
    from collections.abc import Iterator


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark every test of this directory as an end-to-end test, which on a busy machine may take its time."""
    for item in items:
        if item.path.is_relative_to(Path(__file__).parent):
            item.add_marker(pytest.mark.e2e)
            item.add_marker(pytest.mark.timeout(300))


@pytest.fixture
def stage() -> Iterator[Stage]:
    """Give a test the place where it starts programs; they end with the test."""
    with Stage() as stage:
        yield stage


@pytest.fixture
def members(stage: Stage) -> Members:
    """Start four pool members, mx1 to mx4."""
    return Members(stage, 4)
