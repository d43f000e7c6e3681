"""Whose turn it is: each resolver goes round each ring by itself.

A cache holds an answer for a TTL, so what a big resolver gets next should be the ring's next variant for it, not
whatever all the others have reached meanwhile.
"""


class Turns:
    """A bounded table of turns, by client and rotation.

    A client that is not in it begins where the newest one began, plus one, so that many clients which ask once go
    round the ring together. When the table is full it is emptied: all clients then begin anew, which costs evenness
    for one turn and cannot be used to hold memory.
    """

    __slots__ = ("_begin", "_limit", "_turns")

    def __init__(self, begin: int, limit: int = 1 << 16) -> None:
        """`begin` sets workers apart; `limit` is in entries of about 150 octets."""
        self._begin = begin
        self._limit = limit
        self._turns: dict[bytes, int] = {}

    def take(self, client: bytes, key: bytes) -> int:
        """Return the client's turn at the rotation with this key, and move it on."""
        place = client + key
        turn = self._turns.get(place)
        if turn is None:
            turn = self._first(key)
        self._turns[place] = turn + 1
        return turn

    def _first(self, key: bytes) -> int:
        if len(self._turns) >= self._limit:
            self._turns.clear()
        turn = self._turns.get(key, self._begin)
        self._turns[key] = turn + 1
        return turn
