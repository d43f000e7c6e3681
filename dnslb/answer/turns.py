"""Whose turn it is: each resolver goes round each ring by itself.

A cache holds an answer for a TTL, so what a big resolver gets next should be the ring's next variant for it, not
whatever all the others have reached meanwhile.
"""

from functools import lru_cache


class Turns:
    """A bounded table of turns, by client and rotation.

    Clients that are not in it begin at places far apart, so that what big ones get in the same minutes evens out; as
    many of them as the ring has variants begin at each place once, so that many clients which ask once go round it
    together. When the table is full it is emptied: all clients then begin anew, which costs evenness for one turn and
    cannot be used to hold memory.

    `taken` has the next turn of each client at each rotation, for who takes turns without a call.
    """

    __slots__ = ("_begin", "_limit", "taken")

    def __init__(self, begin: int, limit: int = 1 << 16) -> None:
        """`begin` sets workers apart; `limit` is in entries of about 150 octets."""
        self._begin = begin
        self._limit = limit
        self.taken: dict[bytes, int] = {}

    def take(self, client: bytes, key: bytes, length: int) -> int:
        """Return the client's turn at the rotation with this key, a ring of this length, and move it on."""
        place = client + key
        turn = self.taken.get(place)
        if turn is None:
            turn = self.first(key, length)
        self.taken[place] = turn + 1
        return turn

    def first(self, key: bytes, length: int) -> int:
        """Return the turn of a client that is not in the table, and make room for it."""
        if len(self.taken) >= self._limit:
            self.taken.clear()
        clients = self.taken.get(key, 0)
        self.taken[key] = clients + 1
        return self._begin + _spread(length)[clients % length]


@lru_cache(maxsize=64)
def _spread(length: int) -> tuple[int, ...]:
    """Return the places of a ring in an order of which any few are far apart: a half of it, then a quarter, and so on.

    These are the multiples of van der Corput's sequence, each place once. In simulations of an unequal crowd they left
    a third less error than places that follow each other; a fixed step is as good for some lengths of a ring only.
    """
    bits = (length - 1).bit_length()
    turned = (int(f"{number:0{bits}b}"[::-1], 2) for number in range(1 << bits))
    return tuple(dict.fromkeys(fraction * length >> bits for fraction in turned))
