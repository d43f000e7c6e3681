"""Who may begin a conversation: places, turns, order, and those who are called away while they wait."""

import asyncio

from dnslb.probe.entrance import IN_ONE_TURN, Entrance


class Visitors:
    """Tasks that enter and stay until they are told to go."""

    def __init__(self, entrance: Entrance) -> None:
        self._entrance = entrance
        self.inside: list[int] = []
        self.go = asyncio.Event()

    async def visit(self, number: int) -> None:
        """Enter, stay and leave."""
        async with self._entrance:
            self.inside.append(number)
            await self.go.wait()


async def turn() -> None:
    """Let the event loop go round once."""
    await asyncio.sleep(0)


async def test_few_begin_in_one_turn() -> None:
    """Of many that come at once, so many begin in a turn, in the order in which they came, until all have."""
    visitors = Visitors(Entrance(1000))
    tasks = [asyncio.create_task(visitors.visit(number)) for number in range(3 * IN_ONE_TURN)]
    seen = []
    while len(visitors.inside) < len(tasks):
        await turn()
        seen.append(len(visitors.inside))
    steps = {after - before for before, after in zip([0, *seen], seen, strict=False)}
    assert max(steps) == IN_ONE_TURN
    assert visitors.inside == list(range(3 * IN_ONE_TURN))
    visitors.go.set()
    await asyncio.gather(*tasks)


async def test_no_more_than_there_are_places() -> None:
    """Who finds no place waits until somebody leaves."""
    visitors = Visitors(Entrance(2))
    tasks = [asyncio.create_task(visitors.visit(number)) for number in range(3)]
    for _ in range(5):
        await turn()
    assert visitors.inside == [0, 1]
    visitors.go.set()
    await asyncio.gather(*tasks)
    assert visitors.inside == [0, 1, 2]


async def test_who_is_called_away_while_waiting_takes_no_place() -> None:
    """Those behind it are let in in its place."""
    visitors = Visitors(Entrance(1))
    first, gone, last = (asyncio.create_task(visitors.visit(number)) for number in range(3))
    for _ in range(3):
        await turn()
    gone.cancel()
    visitors.go.set()
    await asyncio.gather(first, last)
    assert visitors.inside == [0, 2]


async def test_who_is_called_away_when_let_in_gives_the_place_back() -> None:
    """A place is not lost with a task that is cancelled in the very turn in which it gets one."""
    entrance = Entrance(1)
    visitors = Visitors(entrance)
    await entrance.__aenter__()
    gone = asyncio.create_task(visitors.visit(1))
    await turn()
    await turn()
    await entrance.__aexit__(None, None, None)
    gone.cancel()
    await asyncio.gather(gone, return_exceptions=True)
    assert visitors.inside == []
    async with asyncio.timeout(10), entrance:
        pass
