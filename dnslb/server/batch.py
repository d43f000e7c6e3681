"""Up to 64 datagrams in and out with one system call each: recvmmsg(2) and sendmmsg(2) by ctypes.

Beside a loop of recvfrom and sendto this saves about a sixth of the CPU of an answered query: system calls, and the
Python objects of addresses, which go back to the kernel as the octets they came as. There is no compiler to need; where
there was one, _batch.c does this and more (see engine).
"""

import ctypes
import errno
import mmap
import socket
from array import array
from collections.abc import Iterator, Sequence
from ctypes import Structure, c_char, c_int, c_size_t, c_uint, c_uint32, c_void_p, sizeof
from itertools import accumulate

from dnslb.wire.edns import OUR_PAYLOAD
from dnslb.wire.query import MAX_QUERY

SIZE = 64
"""Datagrams in a batch."""
_IN = MAX_QUERY + 8  # a longer datagram is cut, and still seen to be too long
_STARTS = tuple(range(0, SIZE * _IN, _IN))
_OUT = OUR_PAYLOAD
_NAME = 32  # room for a sockaddr_in6 (28)
_CONTROL = 64  # room for an IPV6_PKTINFO message (40)
_CONTROL_HEADER = 16
_NO_ROOM = frozenset({errno.EAGAIN, errno.ENOBUFS})
_IP_PKTINFO = 8  # linux/in.h; Python 3.11 has no name for it


class _Iovec(Structure):
    _fields_ = (("base", c_void_p), ("len", c_size_t))


class _Msghdr(Structure):
    _fields_ = (
        ("name", c_void_p),
        ("namelen", c_uint32),
        ("iov", c_void_p),
        ("iovlen", c_size_t),
        ("control", c_void_p),
        ("controllen", c_size_t),
        ("flags", c_int),
    )


class _Mmsghdr(Structure):
    _fields_ = (("hdr", _Msghdr), ("len", c_uint32))


_STRIDE = sizeof(_Mmsghdr)
_libc = ctypes.CDLL(None, use_errno=True)
_recvmmsg = _libc.recvmmsg
_recvmmsg.argtypes = (c_int, c_void_p, c_uint, c_int, c_void_p)
_sendmmsg = _libc.sendmmsg
_sendmmsg.argtypes = (c_int, c_void_p, c_uint, c_int)


class _Memory:
    """Memory that has an address for the kernel and slices for Python."""

    def __init__(self, size: int) -> None:
        self.octets = mmap.mmap(-1, size)
        self.address = ctypes.addressof(c_char.from_buffer(self.octets))


class Batch:
    """The buffers of one UDP socket.

    A response goes to the address of the query at its place, which the kernel reads back as it wrote it. A socket
    bound to the unspecified address answers from the address that the query was sent to, if it has asked for it.
    """

    def __init__(self, sock: socket.socket, counters: memoryview, unsent: int) -> None:
        """Take a bound UDP socket. In whichever mode it is, neither receiving nor sending blocks.

        `unsent` is the slot of `counters` for responses that the kernel did not take.
        """
        self._fd = sock.fileno()
        self._family = sock.family
        first, end = (8, 24) if sock.family == socket.AF_INET6 else (4, 8)
        self._clients = [slice(start + first, start + end) for start in range(0, SIZE * _NAME, _NAME)]
        self._wildcard = is_wildcard(sock)
        self._queries = _Memory(SIZE * _IN)
        self._responses = _Memory(SIZE * _OUT)
        self._names = _Memory(SIZE * _NAME)
        self._control = _Memory(SIZE * _CONTROL)
        self._received = _Memory(SIZE * _STRIDE)
        self._sent = _Memory(SIZE * _STRIDE)
        self._in_vectors = _Memory(SIZE * sizeof(_Iovec))
        self._out_vectors = _Memory(SIZE * sizeof(_Iovec))
        self._counters, self._unsent = counters, unsent
        self._wire_up()
        self._sizes: list[int] = []
        self._fresh = self._received.octets[:]
        self._lengths = memoryview(self._received.octets).cast("I")[_Mmsghdr.len.offset // 4 :: _STRIDE // 4]
        self._out_begins = memoryview(self._out_vectors.octets).cast("L")[0::2]
        self._out_lengths = memoryview(self._out_vectors.octets).cast("L")[1::2]
        control_length = (_Mmsghdr.hdr.offset + _Msghdr.controllen.offset) // sizeof(c_size_t)
        step = _STRIDE // sizeof(c_size_t)
        self._in_control_lengths = memoryview(self._received.octets).cast("L")[control_length::step]
        self._out_control_lengths = memoryview(self._sent.octets).cast("L")[control_length::step]

    def _wire_up(self) -> None:
        name_length = 28 if self._family == socket.AF_INET6 else 16
        for i in range(SIZE):
            incoming = _Iovec.from_buffer(self._in_vectors.octets, i * sizeof(_Iovec))
            incoming.base, incoming.len = self._queries.address + i * _IN, _IN
            for headers, vectors in ((self._received, self._in_vectors), (self._sent, self._out_vectors)):
                header = _Mmsghdr.from_buffer(headers.octets, i * _STRIDE).hdr
                header.name, header.namelen = self._names.address + i * _NAME, name_length
                header.iov, header.iovlen = vectors.address + i * sizeof(_Iovec), 1
                if self._wildcard:
                    header.control, header.controllen = self._control.address + i * _CONTROL, _CONTROL

    def receive(self) -> int:
        """Take the datagrams that are waiting, at most SIZE, without blocking; return how many there were."""
        self._received.octets[:] = self._fresh
        number: int = _recvmmsg(self._fd, self._received.address, SIZE, socket.MSG_DONTWAIT, None)
        number = max(number, 0)
        if number and self._wildcard:
            self._prepare_sources(number)
        self._sizes = self._lengths[:number].tolist()
        return number

    def _prepare_sources(self, number: int) -> None:
        """Send from the address that was asked, by whichever interface the routing table says."""
        self._out_control_lengths[:number] = self._in_control_lengths[:number]
        if self._family == socket.AF_INET:
            for i in range(number):
                interface = i * _CONTROL + _CONTROL_HEADER
                self._control.octets[interface : interface + 4] = b"\x00\x00\x00\x00"

    def client(self, place: int) -> bytes:
        """Return the address, of 4 or 16 octets, of who has sent the datagram at this place."""
        return self._names.octets[self._clients[place]]

    def datagrams(self) -> tuple[list[bytes], list[bytes]]:
        """Return the datagrams that were received last, and their senders' addresses."""
        sizes, queries, names = self._sizes, self._queries.octets, self._names.octets
        datagrams = [queries[start : start + size] for start, size in zip(_STARTS, sizes, strict=False)]
        return datagrams, [names[place] for place in self._clients[: len(sizes)]]

    def send(self, responses: Sequence[bytes | None]) -> None:
        """Answer the datagrams that were received last, each at its place; None sends nothing back."""
        present: Sequence[bytes] = responses  # type: ignore[assignment]  # unless the next line finds that it is not so
        if not all(responses):
            present = [response or b"" for response in responses]
        octets = b"".join(present)
        sizes = array("L", map(len, present))
        begins = array("L", accumulate(sizes, initial=self._responses.address))
        # One after the other in one memory: to move all at once costs half of what it does one by one.
        self._responses.octets[: len(octets)] = octets
        self._out_begins[: len(sizes)] = begins[:-1]
        self._out_lengths[: len(sizes)] = sizes
        for first, end in _runs(sizes) if 0 in sizes else ((0, len(sizes)),):
            stopped = self._send(first, end)
            if stopped < end:
                self._counters[self._unsent] += sum(map(bool, sizes[stopped:]))
                return

    def _send(self, first: int, end: int) -> int:
        """Send the responses from one place up to another; return the place from which on there is no room for any.

        An interface that is stuck must not stop the answers to all others. One that the kernel refuses is left out.
        """
        while first < end:
            sent = _sendmmsg(self._fd, self._sent.address + first * _STRIDE, end - first, socket.MSG_DONTWAIT)
            error = ctypes.get_errno() if sent < 0 else 0
            if error in _NO_ROOM:
                break
            if error and error != errno.EINTR:
                self._counters[self._unsent] += 1
                sent = 1
            first += max(sent, 0)
        return first


def _runs(sizes: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Yield from where to where there are responses."""
    first = 0
    for place, size in enumerate((*sizes, 0)):
        if not size:
            yield first, place
            first = place + 1


def ask_for_destination(sock: socket.socket) -> None:
    """Have the kernel tell where each datagram was sent to.

    For a socket that is not bound yet: of what has arrived before, it does not say from where to answer.
    """
    if sock.family == socket.AF_INET6:
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVPKTINFO, 1)
    else:
        sock.setsockopt(socket.IPPROTO_IP, _IP_PKTINFO, 1)


def is_wildcard(sock: socket.socket) -> bool:
    """Return whether datagrams to any address of the machine may come."""
    return sock.getsockname()[0] in {"0.0.0.0", "::"}  # noqa: S104 - compared, not bound
