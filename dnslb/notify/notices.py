"""All who are told what happens. Telling takes no time: each target has a courier, which goes at the target's pace."""

import asyncio
import random
from collections.abc import Callable, Sequence

import structlog

from dnslb.notify.command import hand_over
from dnslb.notify.courier import Courier
from dnslb.notify.message import Message, Sender
from dnslb.notify.target import Event, Target, Webhook
from dnslb.notify.webhook import post

_log = structlog.get_logger()


def _scattered(seconds: float) -> float:
    return seconds * random.uniform(0.8, 1.2)  # noqa: S311 - no secret


class Notices:
    """Tells targets of events, in the loop. Begins without any task, ended by end()."""

    def __init__(
        self, targets: Sequence[Target], sender: Sender, jitter: Callable[[float], float] = _scattered
    ) -> None:
        self._sender = sender
        self._jitter = jitter
        self._couriers: tuple[Courier, ...] = ()
        self._until: float | None = None
        self.replace(targets)

    @property
    def couriers(self) -> Sequence[Courier]:
        """One for each target, in their order."""
        return self._couriers

    def replace(self, targets: Sequence[Target]) -> None:
        """Tell these from now on. Those that stay keep what they have yet to be told; the others hear no more."""
        before = {courier.target.place: courier for courier in self._couriers}
        couriers = []
        for target in targets:
            courier = before.pop(target.place, None) or Courier(target, self._sender, _deliver, self._jitter)
            courier.target = target
            couriers.append(courier)
        self._couriers = tuple(couriers)
        for courier in before.values():
            courier.end()

    def tell(self, event: Event) -> None:
        """Have all who want to know told of an event."""
        for courier in self._couriers:
            courier.tell(event)

    async def hurry(self, seconds: float) -> None:
        """Wait until all is told; each message is tried once from now on. At most so long from the first call on."""
        now = asyncio.get_running_loop().time()
        self._until = now + seconds if self._until is None else self._until
        for courier in self._couriers:
            courier.hurry()
        tasks = [courier.task for courier in self._couriers if courier.task is not None]
        if tasks:
            await asyncio.wait(tasks, timeout=max(self._until - now, 0.0))

    async def end(self) -> None:
        """Leave off, and say what is left untold."""
        tasks = [courier.task for courier in self._couriers if courier.task is not None]
        for courier in self._couriers:
            if courier.waiting:
                _log.warning("notify_left", target=courier.target.name, events=courier.waiting)
            courier.end()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _deliver(target: Target, message: Message) -> str:
    if isinstance(target.door, Webhook):
        await post(target.door, message, target.timeout)
        return ""
    return await hand_over(target.door, message, target.timeout)
