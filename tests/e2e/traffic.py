"""Queries that go on while a test does something to the daemon."""

from __future__ import annotations

from threading import Event, Thread
from typing import TYPE_CHECKING, Self

import dns.exception
import dns.rcode

from tests.e2e.processes import until
from tests.e2e.resolvers import ask, rdatas

if TYPE_CHECKING:
    from types import TracebackType

QUESTIONS = (("relay.lb.test", "A"), ("mail.lb.test", "MX"), ("ns.lb.test", "A"))


class Traffic:
    """Asks a DNS server on 127.0.0.1 one question after the other, for as long as the `with` block lasts.

    `failures` are the questions that got no answer within the patience, in seconds, an error, or no records.
    """

    def __init__(self, port: int, patience: float = 2) -> None:
        self.port, self.asked = port, 0
        self._patience = patience
        self.failures: list[str] = []
        self._end = Event()
        self._thread = Thread(target=self._run)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._end.set()
        self._thread.join()

    def wait(self, count: int) -> None:
        """Wait until this many further questions have been asked."""
        wanted = self.asked + count
        until(lambda: self.asked >= wanted, f"{count} more questions")

    def _run(self) -> None:
        while not self._end.is_set():
            for name, rdtype in QUESTIONS:
                self._ask(name, rdtype)

    def _ask(self, name: str, rdtype: str) -> None:
        try:
            answer = ask(self.port, name, rdtype, timeout=self._patience)
        except dns.exception.DNSException as error:
            self.failures.append(f"{name} {rdtype}: {error}")
        else:
            if answer.rcode() != dns.rcode.NOERROR or not rdatas(answer, rdtype):
                self.failures.append(f"{name} {rdtype}: {answer}")
        self.asked += 1
