"""The end-to-end tests: dnslb between real mail servers and real resolvers, all started by the tests themselves."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.e2e.browser import Browser, Page, opened
from tests.e2e.members import Members
from tests.e2e.processes import Stage
from tests.e2e.site import Site

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator


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


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Start one Chromium for all tests of a module."""
    with Stage() as stage:
        yield Browser(stage)


@pytest.fixture
async def page(browser: Browser) -> AsyncIterator[Page]:
    """Open a page; in no test does it complain, or ask another host for anything."""
    async with opened(browser) as page:
        yield page
        assert page.complaints == []
        assert {host.partition(":")[0] for host in page.hosts} == {"127.0.0.1"}


@pytest.fixture
def site(stage: Stage, members: Members) -> Site:
    """Start a daemon with mx1 to mx4, of which mx1 should get half of the mail."""
    return Site(stage, members, weights={"mx1": 3}, keys='slow_start = "0s"\nclient_reuse = "1s"')


@pytest.fixture(scope="module")
def quiet() -> Iterator[Site]:
    """Start a daemon like `site` for the tests of a module that only look at it."""
    with Stage() as stage:
        yield Site(stage, Members(stage, 4), weights={"mx1": 3})
