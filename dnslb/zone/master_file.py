"""Reading a zone's master file (RFC 1035 section 5).

dnspython, which only dnslb.probe.tlsa imports too, reads the record data. Entries, owners, TTLs and directives are read
here, since dnspython's own reader stops at the first error, names the line after it, opens $INCLUDE relative to the
working directory and drops names outside the zone without a word.
"""

import os
import re
import stat
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from ipaddress import AddressValueError, IPv4Address, IPv6Address
from pathlib import Path

import dns.exception
import dns.name
import dns.rdata
import dns.rdataclass
import dns.rdatatype
import dns.ttl

from dnslb.wire import rrtype
from dnslb.wire.name import is_within, to_text
from dnslb.zone.checks import contradictions, omissions
from dnslb.zone.entries import Entry, split
from dnslb.zone.problem import Place, Places, ZoneError, ZoneProblem
from dnslb.zone.rrset import RRset
from dnslb.zone.shape import shape_of
from dnslb.zone.zone import Zone

MAX_INCLUDES = 16
MAX_TTL = 2**31 - 1
"""RFC 2181 section 8."""
MAX_GENERATE = 65536
MAX_RDATA = 65535
_IN = dns.rdataclass.RdataClass.IN
_CLASS = re.compile(r"(?i)(IN|CH|CHAOS|CS|HS|HESIOD|NONE|ANY|CLASS\d+)\Z")
_RANGE = re.compile(r"(\d{1,10})-(\d{1,10})(?:/(\d{1,10}))?\Z")
_DOLLAR = re.compile(r"\\.|\$\$|\$\{([+-]?\d+)(?:,(\d{1,2})(?:,([doxXnN]))?)?\}|\$\{|\$")
_SYNTAX = {
    "A": "expected an IPv4 address",
    "AAAA": "expected an IPv6 address",
    "CNAME": "expected a domain name",
    "NS": "expected a host name",
    "MX": "expected a preference from 0 to 65535 and a host name",
    "SRV": "expected a priority, a weight, a port (each from 0 to 65535) and a host name",
    "SOA": "expected a server, a mailbox as a name, serial, refresh, retry, expire and minimum",
    "TXT": "expected strings of at most 255 octets",
}
_META_TYPES = frozenset({0, 41, *range(128, 256)})
"""Types of messages, and of questions (RFC 6895 section 3.1)."""

dns.rdata.load_all_types()  # type: ignore[no-untyped-call]  # dnspython left this one untyped


@dataclass(frozen=True, slots=True)
class MasterFile:
    """What could be read: a zone, where each of its RRsets begins, and what is wrong with it.

    The zone is whole, and keeps the promises of its class, only when there are no problems.
    """

    zone: Zone
    places: Places
    problems: tuple[ZoneProblem, ...]


@dataclass(slots=True)
class _Context:
    """What an entry's meaning depends on: an included file starts with a copy, and changes only that."""

    path: Path
    origin: dns.name.Name
    owner: dns.name.Name | None = None
    default_ttl: int | None = None
    last_ttl: int | None = None
    soa_minimum: int | None = None
    including: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Record:
    """One record, its owner and data as in RRset."""

    owner: bytes
    rtype: int
    ttl: int
    rdata: bytes


@dataclass(slots=True)
class _Growing:
    """An RRset that is still being read; `rdata` is a dict for its order and its quick test for duplicates."""

    ttl: int
    place: Place
    rdata: dict[bytes, None] = field(default_factory=dict)


class _EntryError(Exception):
    """What is wrong with one entry, in words."""


def load(path: Path, origin: bytes) -> Zone:
    """Read a zone from its master file; `origin` is the apex in wire format.

    Raise ZoneError with every problem of the file and of those that it includes.
    """
    file = read(path, origin)
    if file.problems:
        raise ZoneError(file.problems)
    return file.zone


def read(path: Path, origin: bytes) -> MasterFile:
    """Read what can be read of a zone from its master file; `origin` is the apex in wire format."""
    reader = _Reader(origin.lower())
    reader.read_file(_Context(path, dns.name.from_wire(origin, 0)[0]), Place(str(path), None))
    zone, places = reader.result()
    shape = shape_of(zone)
    faults = list(contradictions(shape, places))
    if not reader.problems:
        faults += omissions(shape, places, str(path))
    return MasterFile(zone, places, (*reader.problems, *faults))


class _Reader:
    """Collects RRsets and problems from a master file and its includes."""

    def __init__(self, apex: bytes) -> None:
        self.apex = apex
        self.nodes: dict[bytes, dict[int, _Growing]] = {}
        self.problems: list[ZoneProblem] = []

    def result(self) -> tuple[Zone, Places]:
        nodes = {
            owner: {rtype: RRset(owner, rtype, grown.ttl, tuple(grown.rdata)) for rtype, grown in sets.items()}
            for owner, sets in self.nodes.items()
        }
        places = {(owner, rtype): grown.place for owner, sets in self.nodes.items() for rtype, grown in sets.items()}
        return Zone(self.apex, nodes), places

    def read_file(self, context: _Context, asked_at: Place) -> None:
        try:
            text = _text(context.path)
        except _EntryError as fault:
            self.problems.append(ZoneProblem(asked_at.file, asked_at.line, str(fault)))
            return
        for entry in split(text):
            try:
                self._entry(entry, context)
            except _EntryError as fault:
                self.problems.append(ZoneProblem(str(context.path), entry.line, str(fault)))

    def _entry(self, entry: Entry, context: _Context) -> None:
        if entry.fault:
            raise _EntryError(entry.fault)
        if entry.words[0].startswith("$") and not entry.indented:
            self._directive(entry, context)
        else:
            self._add(_record(entry, context), Place(str(context.path), entry.line))

    def _directive(self, entry: Entry, context: _Context) -> None:
        word, *arguments = entry.words
        directive = word.upper()
        if directive == "$TTL":
            context.default_ttl = _ttl(_only(directive, arguments, "$TTL 300"))
        elif directive == "$ORIGIN":
            context.origin = _name(_only(directive, arguments, "$ORIGIN lb.example.org."), context.origin)
        elif directive == "$INCLUDE":
            self._include(arguments, context, Place(str(context.path), entry.line))
        elif directive == "$GENERATE":
            for record in _generate(arguments, context):
                self._add(record, Place(str(context.path), entry.line))
        else:
            raise _EntryError(f"unknown directive {word}, expected one of $ORIGIN, $TTL, $INCLUDE, $GENERATE")

    def _include(self, arguments: list[str], context: _Context, place: Place) -> None:
        if len(arguments) not in {1, 2}:
            raise _EntryError("$INCLUDE takes a file and an optional origin: $INCLUDE hosts.zone lb.example.org.")
        path = context.path.parent / _unquoted(arguments[0])
        # Path.resolve would raise for symbolic links that form a loop.
        including = (*context.including, os.path.realpath(context.path))
        if os.path.realpath(path) in including:
            raise _EntryError(f"$INCLUDE {path}: the file includes itself")
        if len(including) > MAX_INCLUDES:
            raise _EntryError(f"$INCLUDE {path}: more than {MAX_INCLUDES} files include one another")
        origin = _name(arguments[1], context.origin) if len(arguments) > 1 else context.origin
        self.read_file(replace(context, path=path, origin=origin, including=including), place)

    def _add(self, record: _Record, place: Place) -> None:
        if not is_within(record.owner, self.apex):
            raise _EntryError(f"{to_text(record.owner)} is outside the zone {to_text(self.apex)}")
        growing = self.nodes.setdefault(record.owner, {}).setdefault(record.rtype, _Growing(record.ttl, place))
        # The TTLs of an RRset must not differ (RFC 2181 5.2): the lowest is the one that no record outlives.
        growing.ttl = min(growing.ttl, record.ttl)
        growing.rdata[record.rdata] = None


def _text(path: Path) -> str:
    try:
        # Not a FIFO or a device: reading one might never end.
        if not stat.S_ISREG(path.stat().st_mode):
            raise _EntryError(f"{path} is not a file")
        octets = path.read_bytes()
    except OSError as error:
        raise _EntryError(f"cannot read {path}: {error.strerror}") from None
    if b"\0" in octets:
        raise _EntryError(f"{path} is not a text file: it has a zero octet at {octets.index(0)}")
    try:
        return octets.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = octets.count(b"\n", 0, error.start) + 1
        raise _EntryError(f"{path} is not UTF-8 text: octet 0x{octets[error.start]:02x} in line {line}") from None


def _record(entry: Entry, context: _Context) -> _Record:
    words = entry.words
    if not entry.indented:
        context.owner = _name(words[0], context.origin)
        words = words[1:]
    if context.owner is None:
        raise _EntryError("the line begins with a blank, but no owner name comes before it")
    ttl, words = _ttl_and_class(words)
    if not words:
        raise _EntryError("the record has no type")
    rtype, rdata = _rdata(words[0], " ".join(words[1:]), context.origin)
    if rtype == rrtype.SOA and context.soa_minimum is None:
        context.soa_minimum = int.from_bytes(rdata[-4:], "big")
    return _Record(context.owner.to_digestable(), rtype, _effective_ttl(ttl, context), rdata)


def _ttl_and_class(words: list[str]) -> tuple[int | None, list[str]]:
    """Take the TTL and the class, in either order (RFC 1035 5.1), from before the type."""
    ttl: int | None = None
    seen_class = False
    for index, word in enumerate(words):
        if word[0].isdigit() and ttl is None:
            ttl = _ttl(word)
        elif _CLASS.match(word) and not seen_class:
            seen_class = True
            if word.upper() not in {"IN", "CLASS1"}:
                raise _EntryError(f"class {word}: only class IN is served")
        else:
            return ttl, words[index:]
    return ttl, []


def _effective_ttl(ttl: int | None, context: _Context) -> int:
    """RFC 2308 section 4: the record's own, else $TTL, else the last one stated, else (old files) the SOA minimum."""
    if ttl is not None:
        context.last_ttl = ttl
        return ttl
    for fallback in (context.default_ttl, context.last_ttl, context.soa_minimum):
        if fallback is not None:
            return fallback
    raise _EntryError("the record has no TTL, and no $TTL comes before it")


def _rdata(word: str, text: str, origin: dns.name.Name) -> tuple[int, bytes]:
    rtype = _rtype(word)
    if address := _address(rtype, text):
        return int(rtype), address
    try:
        # to_wire returns None only when it has a file to write to.
        wire = dns.rdata.from_text(_IN, rtype, text, origin, relativize=False).to_wire() or b""
        expected = f"its data has {len(wire)} octets, at most {MAX_RDATA} are possible"
    except (dns.name.LabelTooLong, dns.name.NameTooLong, dns.name.EmptyLabel) as error:
        expected = str(error).rstrip(".")
    except struct.error:
        expected = "a number in it is out of range"
    except Exception as error:  # noqa: BLE001  # dnspython lets a type's own errors through
        expected = _SYNTAX.get(word.upper(), str(error).rstrip("."))
    else:
        if len(wire) <= MAX_RDATA:
            return int(rtype), wire
    raise _EntryError(f"{_short(f'{word} {text}'.rstrip())!r} is not a valid {word} record: {expected}")


def _address(rtype: dns.rdatatype.RdataType, text: str) -> bytes | None:
    """Return the data of an address record, None of any other, and if it takes a closer look to say what is wrong.

    Large zones hold little else, and dnspython takes ten times as long.
    """
    try:
        if rtype == rrtype.A:
            return IPv4Address(text).packed
        if rtype == rrtype.AAAA and "%" not in text:
            return IPv6Address(text).packed
    except AddressValueError:
        pass
    return None


def _rtype(word: str) -> dns.rdatatype.RdataType:
    try:
        rtype = dns.rdatatype.from_text(word)
    except (dns.exception.DNSException, ValueError):
        raise _EntryError(f"unknown record type {word!r}") from None
    if int(rtype) in _META_TYPES:
        raise _EntryError(f"type {word} is for messages only, no zone holds it")
    return rtype


def _generate(arguments: list[str], context: _Context) -> Iterator[_Record]:
    """Expand `$GENERATE start-stop[/step] owner [ttl] [class] type data` as BIND and dnspython do."""
    if len(arguments) < 4:  # noqa: PLR2004  # the four words of the line above
        raise _EntryError("$GENERATE takes a range, an owner, a type and data: $GENERATE 1-4 host$ A 192.0.2.$")
    match = _RANGE.match(arguments[0])
    if match is None:
        raise _EntryError(f"$GENERATE range {arguments[0]!r}: expected start-stop or start-stop/step")
    start, stop, step = (int(number or 1) for number in match.groups())
    if start > stop or not step:
        raise _EntryError(f"$GENERATE range {arguments[0]!r}: expected a start up to the stop, and a step from 1")
    if (stop - start) // step >= MAX_GENERATE:
        raise _EntryError(f"$GENERATE range {arguments[0]!r}: more than {MAX_GENERATE} records")
    ttl, words = _ttl_and_class(arguments[2:])
    if not words:
        raise _EntryError("$GENERATE has no record type")
    data = " ".join(words[1:])
    for index in range(start, stop + 1, step):
        context.owner = _name(_numbered(arguments[1], index), context.origin)
        rtype, rdata = _rdata(words[0], _numbered(data, index), context.origin)
        yield _Record(context.owner.to_digestable(), rtype, _effective_ttl(ttl, context), rdata)


def _numbered(template: str, index: int) -> str:
    """Put a number in place of each $ or ${offset,width,base}; $$ and an escaped $ are a plain one."""

    def replacement(match: re.Match[str]) -> str:
        text = match.group()
        if text[0] == "\\" or text == "$$":
            return text if text[0] == "\\" else "$"
        if text == "${":
            raise _EntryError(
                f"{_short(template)!r}: expected $, or ${{offset}}, ${{offset,width}}, ${{offset,width,base}}"
            )
        offset, width, base = match.groups()
        number = index + int(offset or 0)
        if base not in {"n", "N"}:
            return format(number, base or "d").zfill(int(width or 0))
        if number < 0:
            raise _EntryError(f"{_short(template)!r}: {number} has no nibbles")
        return _nibbles(number, int(width or 0), "x" if base == "n" else "X")

    return _DOLLAR.sub(replacement, template)


def _nibbles(number: int, width: int, base: str) -> str:
    """Return the hexadecimal digits of a number, the last one first, as names below ip6.arpa have them."""
    digits = format(number, base).zfill((width + 1) // 2)
    return ".".join(reversed(digits)).ljust(width, ".")


def _name(text: str, origin: dns.name.Name) -> dns.name.Name:
    try:
        return dns.name.from_text(text, origin)
    except (dns.exception.DNSException, ValueError) as error:
        raise _EntryError(f"{_short(text)!r} is not a domain name: {str(error).rstrip('.')}") from None


def _ttl(word: str) -> int:
    try:
        ttl = dns.ttl.from_text(word)
    except dns.exception.DNSException:
        raise _EntryError(f"{word!r} is not a TTL, expected seconds or units (300, 5m, 1h30m)") from None
    if ttl > MAX_TTL:
        raise _EntryError(f"TTL {word} is above {MAX_TTL}")
    return ttl


def _only(directive: str, arguments: list[str], example: str) -> str:
    if len(arguments) != 1:
        raise _EntryError(f"{directive} takes one word: {example}")
    return arguments[0]


def _unquoted(word: str) -> str:
    return word[1:-1] if word.startswith('"') else word


def _short(text: str, limit: int = 80) -> str:
    return text if len(text) <= limit else text[: limit - 3] + "..."
