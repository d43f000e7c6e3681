"""What a worker knows of its clients' cookies (RFC 7873): who sends a right one gets what is sent to his address.

Without a right one everybody is answered too, and gets a cookie: mail does not wait for a resolver that has none, so
nobody who asks a question ever gets BADCOOKIE.
"""

from dnslb.wire import cookie, header
from dnslb.wire.cookie import Standing
from dnslb.wire.edns import (
    BARE_SIZE,
    BEGIN,
    COMMON,
    HEAD_SIZE,
    NO_OPTIONS,
    Edns,
    are_options,
    options_in,
    read,
    with_option,
)
from dnslb.wire.options import KEEPALIVE, NSID

_ANSWERED = frozenset({NSID, KEEPALIVE})
"""The options that a query's only answer is not a cookie for."""
_ONLY_A_CLIENT_COOKIE = b"\0\x0c\0\x0a\0\x08"
"""What then stands between its first octets and the cookie: the length of the options, the code, the length of it."""
_REMEMBERED_SECONDS = 300
"""Less than a right cookie lives on when it is remembered."""


class Cookies:
    """Makes and checks the cookies of one worker, and remembers right ones in bounded memory.

    `known` are the OPT records, as they came, that hold a right and fresh cookie and nothing that is answered in
    another way, with the client's address before them; and what each asks for, with our cookie in the OPT record that
    goes with it. It is emptied when it is full, and every few minutes: a cookie gets old.
    """

    __slots__ = ("_limit", "_now", "_secrets", "_since", "known")

    def __init__(self, secrets: tuple[bytes, ...] = (), now: int = 0, limit: int = 1 << 15) -> None:
        """Make new cookies with the first of the `secrets`; without any there are none, and the option is ignored.

        `now` are Unix seconds. `limit` is in entries of about 400 octets; the responder shows it no long ones.
        """
        self.known: dict[bytes, Edns] = {}
        self._secrets = secrets
        self._now = self._since = now
        self._limit = limit

    @property
    def now(self) -> int:
        """The Unix time in seconds, as it was told last. Nothing here reads a clock."""
        return self._now

    @now.setter
    def now(self, seconds: int) -> None:
        self._now = seconds
        if abs(seconds - self._since) >= _REMEMBERED_SECONDS:
            self._forget()

    def seen(self, record: bytes, client: bytes, *, remember: bool = True) -> Edns | None:
        """Read an OPT record that is not `known`, and remember it if its cookie is right and fresh.

        None takes a closer look: the record is uncommon or malformed, or asks for more than a cookie. All other
        options are ignored: that of a client's subnet is for the caller, who does not let it `remember` then.
        """
        if record[HEAD_SIZE : -cookie.CLIENT] == _ONLY_A_CLIENT_COOKIE and self._secrets:
            return self._first(record, client)
        found = read(record)
        options = record[BARE_SIZE:]
        if found is None or any(code in _ANSWERED for code, _ in options_in(options)):
            return None
        try:
            standing, option = self._judge(options, client)
        except ValueError:
            return None
        edns = found._replace(reply=with_option(found.reply, option)) if option else found
        if remember and standing is Standing.FRESH:
            self._remember(client + record, edns)
        return edns

    def _first(self, record: bytes, client: bytes) -> Edns | None:
        """Read a record with a client cookie and nothing else: nearly all that are not known, and all of a flood."""
        found = COMMON.get(record[:HEAD_SIZE] + NO_OPTIONS)
        if found is None:
            return None
        ours = cookie.make(record[-cookie.CLIENT :], client, self._secrets[0], self._now)
        return Edns(found.limit, with_option(found.reply, cookie.option(ours)), 0, found.dnssec_ok)

    def option(self, options: bytes, client: bytes) -> bytes:
        """Return the COOKIE option of the response to a query with these options, b"" if it has none.

        Raise ValueError for one that must be answered with FORMERR.
        """
        return self._judge(options, client)[1]

    def proves(self, query: bytes, client: bytes) -> bool:
        """Return whether a query carries a right server cookie.

        The query may be anything, and what looks like its OPT record need not be that: nobody else has the cookie.
        """
        begin = query.find(BEGIN, header.SIZE)
        record = query[begin:] if begin > 0 else b""
        if client + record in self.known:
            return True
        if len(record) < BARE_SIZE or not are_options(record, BARE_SIZE):
            return False
        try:
            standing, _ = self._judge(record[BARE_SIZE:], client)
        except ValueError:
            return False
        return standing is not Standing.STRANGE

    def _judge(self, options: bytes, client: bytes) -> tuple[Standing, bytes]:
        """Return what the options prove, and the option to answer with, b"" if there is none."""
        came = cookie.cookie_in(options) if self._secrets else None
        if came is None:
            return Standing.STRANGE, b""
        standing = cookie.judge(came, client, self._secrets, self._now)
        ours = came if standing is Standing.FRESH else cookie.make(came, client, self._secrets[0], self._now)
        return standing, cookie.option(ours)

    def _remember(self, key: bytes, edns: Edns) -> None:
        if len(self.known) >= self._limit:
            self._forget()
        self.known[key] = edns

    def _forget(self) -> None:
        self.known.clear()
        self._since = self._now


NONE = Cookies()
"""For who has no secret. It is empty, and stays so."""
