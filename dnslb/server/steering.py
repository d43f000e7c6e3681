"""Which worker a packet comes to: by its source address alone, so that a resolver keeps its worker and its turns there.

By itself the kernel spreads a reuseport group by a hash of both addresses and both ports, and resolvers send each
query from another port. A classic BPF program chooses instead (SO_ATTACH_REUSEPORT_CBPF, which takes no privilege; for
UDP since Linux 4.5, for TCP since 4.6; see socket(7)): it returns the place of a socket in the group. Places are in
the order in which sockets joined (bind for UDP, listen for TCP), and the last one moves to the place of one that
leaves (reuseport_detach_sock in net/core/sock_reuseport.c). A place that there is not means the kernel's hash: no
packet is lost by a wrong program.
"""

import ctypes
import socket
import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

_SO_ATTACH_REUSEPORT_CBPF = 51
"""Not in Python's socket module (include/uapi/asm-generic/socket.h)."""

_SKF_NET_OFF = 0x1_0000_0000 - 0x100000
"""Where the IP header begins, as an unsigned offset: the program's data begins behind the UDP or TCP header."""
_IPV4_SOURCE = (12,)
_IPV6_SOURCE = (8, 12, 16, 20)
"""Offsets in the IP header of the source address, four octets each (RFC 791 section 3.1, RFC 8200 section 3)."""

# Operations of linux/bpf_common.h: A is the accumulator, X the index register, all of 32 bits.
_LOAD = 0x20
"""A = the word at an offset."""
_ADD, _MUL, _RSH, _MOD = 0x04, 0x24, 0x74, 0x94
"""A = A op the constant."""
_XOR_X = 0xAC
"""A = A ^ X."""
_TAX = 0x07
"""X = A."""
_RETURN_A = 0x16

Instruction = tuple[int, int]
"""An operation and its constant. There are no jumps."""

_T = TypeVar("_T")
Span = tuple[socket.socket, int, int]
"""A socket for the group that it is in, the first of the places there that are asked, and how many are."""

_FINISH: tuple[Instruction, ...] = (
    (_TAX, 0), (_RSH, 16), (_XOR_X, 0), (_MUL, 0x7FEB352D),
    (_TAX, 0), (_RSH, 15), (_XOR_X, 0), (_MUL, 0x846CA68B),
    (_TAX, 0), (_RSH, 16), (_XOR_X, 0),
)  # fmt: skip
"""Mix each bit into all others: `lowbias32` of Chris Wellons' hash prospector (nullprogram.com/blog/2018/07/31)."""
_MIX = 0x9E3779B1
"""Multiplies what is known of an address before its next word comes in: 2^32 by the golden ratio, and a prime."""


SOURCE = "source"
KERNEL = "kernel"


@dataclass(frozen=True, slots=True)
class Steering:
    """Who chooses the worker of a packet: SOURCE, its source address, or the KERNEL; then `reason` says why."""

    by: str
    reason: str = ""

    @property
    def by_source(self) -> bool:
        """Whether a resolver keeps its worker."""
        return self.by == SOURCE


ONE_WORKER = Steering(KERNEL, "there is one worker")
SHARED_SOCKETS = Steering(KERNEL, "the service manager has made fewer sockets than there are workers")


def steer(spans: Iterable[Span]) -> Steering:
    """Let each source keep one of some places in a group, in each of the groups.

    A program that a group has already is replaced. Where the kernel has no such thing, or allows none, nothing changes,
    and what it said is returned.
    """
    try:
        for sock, first, number in spans:
            _attach(sock, program(sock.family, first, number))
    except OSError as error:
        return Steering(KERNEL, f"the kernel takes no program for the sockets: {error.strerror}")
    return Steering(SOURCE)


def in_places(sockets: Sequence[_T], others: int) -> tuple[_T, ...]:
    """Return what joined a group behind so many others in the order in which it stands when these are gone.

    That is if the others go one by one, the last one first: into the place of each moves the last one of all.
    """
    begin = -others % len(sockets)
    return (*sockets[begin:], *sockets[:begin])


def program(family: int, first: int, number: int) -> tuple[Instruction, ...]:
    """Return the program that spreads source addresses over `number` places from `first` on."""
    begin, *others = _IPV4_SOURCE if family == socket.AF_INET else _IPV6_SOURCE
    load: list[Instruction] = [(_LOAD, _SKF_NET_OFF + begin)]
    for offset in others:
        load += [(_MUL, _MIX), (_TAX, 0), (_LOAD, _SKF_NET_OFF + offset), (_XOR_X, 0)]
    return (*load, *_FINISH, (_MOD, number), (_ADD, first), (_RETURN_A, 0))


def _attach(sock: socket.socket, instructions: Sequence[Instruction]) -> None:
    """Hand a `struct sock_fprog` of `struct sock_filter`s to the kernel, which copies it."""
    octets = b"".join(struct.pack("HBBI", operation, 0, 0, constant) for operation, constant in instructions)
    filters = ctypes.create_string_buffer(octets)
    sock.setsockopt(
        socket.SOL_SOCKET,
        _SO_ATTACH_REUSEPORT_CBPF,
        struct.pack("HP", len(instructions), ctypes.addressof(filters)),
    )
