"""Which worker a packet comes to, as the kernel of this machine decides: by its source address, and nothing else."""

import os
import random
import signal
import socket
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from ipaddress import IPv6Address, ip_address
from itertools import permutations

import pytest

from dnslb.server import sockets, steering
from dnslb.server.sockets import Address, WorkerSockets
from dnslb.server.steering import KERNEL, SOURCE, Steering
from dnslb.server.supervisor import Death, Supervisor
from tests.server.conftest import framed, generation_of, query, snapshot, until

LOOPBACK = ip_address("127.0.0.1")
PORTS = 4
"""So many ports does each source use: by chance they would come to one of four workers once in 64 times."""
_IPV6_FREEBIND = 78
"""Send from any address, as if it were this machine's (linux/in6.h)."""

Asked = Callable[[socket.socket, str, tuple[str, int]], None]
Heard = Mapping[str, Counter[int]]
"""By source, how many packets came to each worker's socket."""


def steer(row: WorkerSockets, first: int, number: int) -> Steering:
    """Have the same places asked in all groups that a worker's sockets are in."""
    return steering.steer((sock, first, number) for sock in (*row.udp, *row.tcp))


def v4_sources(number: int) -> list[str]:
    """Return loopback addresses: neighbours, as the resolvers of one provider are, and others."""
    neighbours = [f"127.0.7.{n}" for n in range(1, number // 2 + 1)]
    draw = random.Random(1)  # noqa: S311 - the same in each run
    others = {f"127.{draw.randrange(1, 255)}.{draw.randrange(255)}.{draw.randrange(1, 255)}" for _ in range(number)}
    return neighbours + sorted(others - set(neighbours))[: number - len(neighbours)]


def v6_sources(number: int) -> list[str]:
    """Return addresses for documentation that differ in their last part, or in their first parts alone."""
    first = int(IPv6Address("2001:db8::1"))
    return [str(IPv6Address(first + (n << 72 if n % 2 else n))) for n in range(number)]


@contextmanager
def opened(*addresses: Address, workers: int, shared: bool = False) -> Iterator[list[WorkerSockets]]:
    """Give each worker's sockets, closed afterwards."""
    rows = sockets.divide(sockets.open_all(addresses, workers, shared=shared), workers)
    try:
        yield rows
    finally:
        close(rows)


def close(rows: Iterable[WorkerSockets]) -> None:
    """Close all that workers have."""
    for row in rows:
        for sock in (*row.udp, *row.tcp):
            sock.close()


def send(rows: Sequence[WorkerSockets], sources: Iterable[str], ports: int = PORTS, place: int = 0) -> Heard:
    """Send a datagram from so many ports of each source; return where they arrived, in the order of the rows."""
    address = rows[0].udp[place].getsockname()
    for source in sources:
        for _ in range(ports):
            with socket.socket(rows[0].udp[place].family, socket.SOCK_DGRAM) as client:
                if client.family == socket.AF_INET6:
                    client.setsockopt(socket.IPPROTO_IPV6, _IPV6_FREEBIND, 1)
                client.bind((source, 0))
                client.sendto(b"?", address)
    heard: dict[str, Counter[int]] = defaultdict(Counter)
    for worker, row in enumerate(rows):
        with row.udp[place].dup() as sock:
            sock.setblocking(False)  # noqa: FBT003 - the library's signature
            for source in _datagrams(sock):
                heard[source][worker] += 1
    return heard


def _datagrams(sock: socket.socket) -> Iterator[str]:
    while True:
        try:
            yield sock.recvfrom(100)[1][0]
        except BlockingIOError:
            return


def connect(rows: Sequence[WorkerSockets], sources: Iterable[str], ports: int = PORTS, place: int = 0) -> Heard:
    """Connect from so many ports of each source; return which listening sockets the connections came to."""
    heard: dict[str, Counter[int]] = defaultdict(Counter)
    with ExitStack() as stack:
        for source in sources:
            for _ in range(ports):
                client = socket.create_connection(rows[0].tcp[place].getsockname()[:2], 10, source_address=(source, 0))
                stack.enter_context(client)
        for worker, row in enumerate(rows):
            for source in _connections(row.tcp[place]):
                heard[source][worker] += 1
    return heard


def _connections(listener: socket.socket) -> Iterator[str]:
    while True:
        try:
            connection, address = listener.accept()
        except BlockingIOError:
            return
        connection.close()
        yield address[0]


def kept(heard: Heard, sources: Sequence[str], ports: int = PORTS) -> dict[str, int]:
    """Return the one worker that each source has; fail if any packet is missing, or came to another one."""
    assert {source: heard[source].total() for source in sources} == dict.fromkeys(sources, ports)
    assert [source for source in sources if len(heard[source]) > 1] == []
    return {source: next(iter(heard[source])) for source in sources}


def test_a_source_keeps_its_worker_over_udp_and_tcp() -> None:
    """Whatever port it asks from; the workers have about as many sources each."""
    sources = v4_sources(240)
    with opened((LOOPBACK, 0), workers=4) as rows:
        assert steer(rows[0], 0, 4) == Steering(SOURCE)
        whose = kept(send(rows, sources), sources)
        few = sources[::6]
        assert kept(connect(rows, few), few) == {source: whose[source] for source in few}
    counts = Counter(whose.values())
    assert set(counts) == {0, 1, 2, 3}
    assert all(40 < number < 80 for number in counts.values()), counts


def test_a_source_keeps_its_worker_over_ipv6() -> None:
    """All 16 octets count: neither the first nor the last ones alone tell workers apart."""
    sources = v6_sources(240)
    with opened((ip_address("::1"), 0), workers=4) as rows:
        assert steer(rows[0], 0, 4) == Steering(SOURCE)
        whose = kept(send(rows, sources), sources)
        for half in (sources[::2], sources[1::2]):
            counts = Counter(whose[source] for source in half)
            assert all(15 < counts[worker] < 45 for worker in range(4)), counts
        # There is no way back to those addresses, so TCP has one source only.
        assert kept(connect(rows, ["::1"], 40), ["::1"], 40) == kept(send(rows, ["::1"], 40), ["::1"], 40)


def test_without_a_program_sources_have_no_worker() -> None:
    """The kernel's hash counts ports too: so what is told of the other tests is told of the program."""
    sources = v4_sources(40)
    with opened((LOOPBACK, 0), (ip_address("::1"), 0), workers=4) as rows:
        heard = send(rows, sources)
        assert sum(len(heard[source]) > 1 for source in sources) > 20
        assert len(send(rows, ["::1"], 40, place=1)["::1"]) > 1
        assert len(connect(rows, ["127.0.0.1"], 40)["127.0.0.1"]) > 1
        assert len(connect(rows, ["::1"], 40, place=1)["::1"]) > 1


def test_all_addresses_are_steered() -> None:
    """Each has groups of its own, and a source has the same worker at each."""
    sources = v4_sources(40)
    with opened((LOOPBACK, 0), (ip_address("127.0.0.2"), 0), workers=3) as rows:
        assert steer(rows[0], 0, 3) == Steering(SOURCE)
        first = kept(send(rows, sources), sources)
        assert kept(send(rows, sources, place=1), sources) == first
        assert set(first.values()) == {0, 1, 2}


@pytest.mark.parametrize(("before", "after"), [(1, 1), (2, 2), (1, 3), (3, 1), (2, 4), (4, 2)])
def test_a_takeover_never_asks_who_is_gone(before: int, after: int) -> None:
    """In whatever order the old ones go: first they answer alone, then the new ones do, and each source keeps one."""
    sources = v4_sources(40)
    for order in list(permutations(range(before)))[:6]:
        with opened((LOOPBACK, 0), workers=before) as old:
            steer(old[0], 0, before)
            whose = kept(send(old, sources), sources)
            port = old[0].udp[0].getsockname()[1]
            with opened((LOOPBACK, port), workers=after, shared=True) as new:
                assert steer(new[0], 0, before) == Steering(SOURCE)
                assert kept(send([*old, *new], sources), sources) == whose

                assert steer(new[0], before, after) == Steering(SOURCE)
                assert set(kept(send([*old, *new], sources), sources).values()) == {
                    before + place for place in range(after)
                }
                left = list(range(before))
                for gone in order:
                    close([old[gone]])
                    left.remove(gone)
                    living = [*(old[place] for place in left), *new]
                    heard = send(living, sources)
                    assert sum(heard[source].total() for source in sources) == PORTS * len(sources)

                assert steer(new[0], 0, after) == Steering(SOURCE)
                whose = kept(send(new, sources), sources)
                assert set(whose.values()) == set(range(after))
                assert set(kept(connect(new, sources), sources).values()) == set(range(after))


@pytest.mark.parametrize(("before", "after"), [(1, 3), (2, 3), (3, 2), (4, 3)])
def test_the_order_of_places_after_a_takeover_is_known(before: int, after: int) -> None:
    """If the old ones go one by one, the last one first: then they are asked no more from the beginning."""
    sources = v4_sources(40)
    with opened((LOOPBACK, 0), workers=before) as old:
        steer(old[0], 0, before)
        port = old[0].udp[0].getsockname()[1]
        with opened((LOOPBACK, port), workers=after, shared=True) as new:
            steer(new[0], before, after)
            for place in reversed(range(before)):
                heard = send([*old[: place + 1], *new], sources)
                assert all(heard[source][place] == 0 for source in sources)
                close([old[place]])
                steer(new[0], place, after)
            whose = kept(send(steering.in_places(new, before), sources), sources)
    with opened((LOOPBACK, 0), workers=after) as rows:
        steer(rows[0], 0, after)
        assert kept(send(rows, sources), sources) == whose


def test_a_place_that_is_not_there_is_the_kernels_choice() -> None:
    """Nothing is lost if fewer workers were left behind than are written down."""
    sources = v4_sources(40)
    with opened((LOOPBACK, 0), workers=2) as rows:
        steer(rows[0], 7, 2)
        heard = send(rows, sources)
        assert sum(heard[source].total() for source in sources) == PORTS * len(sources)
        assert sum(len(heard[source]) > 1 for source in sources) > 20


def test_a_kernel_that_does_not_know_it_spreads_as_before(monkeypatch: pytest.MonkeyPatch) -> None:
    """Here the option's number is one that no kernel has; the reason is the kernel's."""
    monkeypatch.setattr(steering, "_SO_ATTACH_REUSEPORT_CBPF", 9999)
    reason = "the kernel takes no program for the sockets: Protocol not available"
    sources = v4_sources(40)
    with opened((LOOPBACK, 0), workers=2) as rows:
        assert steer(rows[0], 0, 2) == Steering(KERNEL, reason)
        heard = send(rows, sources)
        assert sum(heard[source].total() for source in sources) == PORTS * len(sources)


def test_a_kernel_that_does_not_allow_it_says_so() -> None:
    """As to a socket whose filters are locked."""
    so_lock_filter = 44
    with opened((LOOPBACK, 0), workers=2) as rows:
        rows[0].udp[0].setsockopt(socket.SOL_SOCKET, so_lock_filter, 1)
        found = steer(rows[0], 0, 2)
    assert found == Steering(KERNEL, "the kernel takes no program for the sockets: Operation not permitted")


class Workers:
    """Four real workers on a loopback port, and resolvers that ask them from addresses of their own."""

    def __init__(self) -> None:
        groups = sockets.open_all([(LOOPBACK, 0)], 4, shared=False)
        self._rows = sockets.divide(groups, 4)
        self._address = (str(LOOPBACK), groups[0].port)
        self.deaths: list[Death] = []
        self.supervisor = Supervisor(self._rows, self.deaths.append, lambda: None)
        self.steering = steer(self._rows[0], 0, 4)

    def whose(self, sources: Iterable[str], ask: Asked) -> dict[str, int]:
        """Return the place of the one worker that counts all queries of each source."""
        return {source: self._whose(source, ask) for source in sources}

    def _whose(self, source: str, ask: Asked) -> int:
        before = self._queries()
        for _ in range(PORTS):
            with socket.socket(type=socket.SOCK_DGRAM if ask is ask_udp else socket.SOCK_STREAM) as client:
                client.settimeout(20)
                ask(client, source, self._address)
        counted = [after - known for after, known in zip(self._queries(), before, strict=True)]
        assert sorted(counted) == [0, 0, 0, PORTS], source
        return counted.index(PORTS)

    def _queries(self) -> list[int]:
        return [counters.queries() for _, counters in self.supervisor.counters()]

    async def end(self) -> None:
        """End them all."""
        await self.supervisor.stop()
        for _, counters in self.supervisor.counters():
            os.close(counters.fd)
        close(self._rows)


def ask_udp(client: socket.socket, source: str, address: tuple[str, int]) -> None:
    """Ask from a new port of the source, and wait for the answer."""
    client.bind((source, 0))
    client.sendto(query(), address)
    assert generation_of(client.recv(2000)) == 1


def ask_tcp(client: socket.socket, source: str, address: tuple[str, int]) -> None:
    """Ask over a new connection from the source, and wait for the answer."""
    client.bind((source, 0))
    client.connect(address)
    client.sendall(framed(query()))
    length = int.from_bytes(client.recv(2, socket.MSG_WAITALL), "big")
    assert generation_of(client.recv(length, socket.MSG_WAITALL)) == 1


@pytest.fixture
async def workers() -> AsyncIterator[Workers]:
    """Give four workers that answer."""
    made = Workers()
    try:
        await made.supervisor.start(snapshot(1))
        yield made
    finally:
        await made.end()


async def test_real_workers_count_the_queries_of_their_own_resolvers(workers: Workers) -> None:
    """Each resolver's queries are in one worker's counters, over UDP and TCP; all four have some to answer."""
    assert workers.steering == Steering(SOURCE)
    sources = v4_sources(40)
    whose = workers.whose(sources, ask_udp)
    assert workers.whose(sources, ask_tcp) == whose
    assert set(whose.values()) == {0, 1, 2, 3}


async def test_a_replaced_worker_has_its_resolvers_again(workers: Workers) -> None:
    """The sockets are the controller's and stay, and so do their places."""
    sources = v4_sources(40)
    whose = workers.whose(sources, ask_udp)
    os.kill(workers.supervisor.pids[1], signal.SIGKILL)
    await until(lambda: len(workers.deaths) == 1, "it has died")
    await until(lambda: len(workers.supervisor.pids) == 4, "it is replaced")
    await until(lambda: all(each.generation for _, each in workers.supervisor.counters()), "all answer")
    assert workers.whose(sources, ask_udp) == whose
