"""How single values are written: text of the configuration becomes a value, or a ValueError says what was expected."""

import os
import re
from collections.abc import Callable, Iterable
from enum import StrEnum
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_interface
from typing import TypeVar
from urllib.parse import urlsplit

from dnslb.answer.service import ServiceType, Ttl
from dnslb.config.settings import Endpoint
from dnslb.wire.name import MAX_NAME

MAX_DURATION = 86400.0
MIN_RETENTION, MAX_RETENTION = 3600.0, 3650 * 86400.0
MAX_PORT = 65535
MAX_TOLD = 128
MAX_TTL = 2**31 - 1
MAX_WORKERS = 256
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)\Z")
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_ENDPOINT = re.compile(r"(?:\[([0-9a-fA-F:.]+)\]|([0-9.]+)):(\d{1,5})\Z")
_NETWORK = re.compile(r"[0-9a-fA-F:.]+(?:/\d{1,3})?\Z")
_IPV4_MAPPED = IPv6Network("::ffff:0:0/96")
_LABEL = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?\Z")
_EHLO = re.compile(r"(?:[A-Za-z0-9_.-]{1,255}|\[[A-Za-z0-9:.-]+\])\Z")
_ATOM = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+"
_QUOTED = r'"(?:[ !#-\[\]-~]|\\[ -~])*"'
_DOMAIN = r"[A-Za-z0-9_](?:[A-Za-z0-9_-]*[A-Za-z0-9_])?"
_MAILBOX = re.compile(rf"({_ATOM}(?:\.{_ATOM})*|{_QUOTED})@({_DOMAIN}(?:\.{_DOMAIN})*|\[[A-Za-z0-9:.-]+\])\Z")
_URL = re.compile(r"https?://[!-~]{1,2000}\Z")
_KEYWORD = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]*\Z")
_MAX_LOCAL, _MAX_DOMAIN = 64, 255

Word = TypeVar("Word", bound=StrEnum)


def duration(value: object) -> float:
    """Return the seconds of "500ms", "10s", "2m", "1h", "1d" or a number of seconds."""
    seconds = _seconds(value)
    # Not a number compares false, and an integer may be too large for a float.
    if not 0 < seconds <= MAX_DURATION:
        raise ValueError("expected a duration above 0 and up to 24h")
    return float(seconds)


def duration_or_none(value: object) -> float:
    """Return what `duration` does, 0 for "0", "0s" or 0: none."""
    seconds = 0.0 if value == "0" else _seconds(value)
    if not 0 <= seconds <= MAX_DURATION:
        raise ValueError("expected a duration up to 24h, or 0 for none")
    return float(seconds)


def retention(value: object) -> float:
    """Return the seconds for which something is kept."""
    seconds = _seconds(value)
    if not MIN_RETENTION <= seconds <= MAX_RETENTION:
        raise ValueError("expected a duration from 1h to 3650d")
    return float(seconds)


def _seconds(value: object) -> float:
    if isinstance(value, str) and (match := _DURATION.match(value)):
        return float(match.group(1)) * _UNITS[match.group(2)]
    if isinstance(value, int | float) and not isinstance(value, bool):
        return value
    raise ValueError('expected a duration: "500ms", "10s", "2m", "1h", "1d" or a number of seconds')


def endpoint(value: object) -> Endpoint:
    """Return the address and port of "192.0.2.1:53" or "[2001:db8::1]:53"."""
    match = _ENDPOINT.match(value) if isinstance(value, str) else None
    if match is None or int(match.group(3)) > MAX_PORT:
        raise ValueError('expected "address:port", as in "127.0.0.1:5300" or "[::1]:5300" (port 0 picks a free one)')
    host = match.group(1) or match.group(2)
    try:
        return Endpoint(ip_address(host), int(match.group(3)))
    except ValueError:
        raise ValueError(f"{host} is not an IPv4 or IPv6 address") from None


def http_endpoint(value: object) -> Endpoint | None:
    """Return what `endpoint` does, None for "" (no HTTP)."""
    return None if value == "" else endpoint(value)


def workers(value: object) -> int | None:
    """Return a number of worker processes, None for "auto"."""
    if value == "auto":
        return None
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= MAX_WORKERS:
        raise ValueError(f'expected "auto" (one per CPU core) or a number from 1 to {MAX_WORKERS}')
    return value


def cpu(value: object) -> int:
    """Return the number of a CPU on which this process may run."""
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise ValueError("expected the number of a CPU, from 0 up")
    allowed = os.sched_getaffinity(0)
    if value not in allowed:
        raise ValueError(f"there is no such CPU, or it is not allowed here: expected one of {_ranges(allowed)}")
    return value


def _ranges(numbers: Iterable[int]) -> str:
    """Return numbers as the kernel writes lists of CPUs: "0-3,8"."""
    runs: list[list[int]] = []
    for number in sorted(numbers):
        if runs and number == runs[-1][-1] + 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    return ",".join(f"{run[0]}-{run[-1]}" if len(run) > 1 else str(run[0]) for run in runs)


def address(value: object) -> IPv4Address | IPv6Address:
    """Return an address that mail can be sent to."""
    try:
        parsed = ip_address(value) if isinstance(value, str) else None
    except ValueError:
        parsed = None
    if parsed is None:
        raise ValueError('expected an IPv4 or IPv6 address, as in "192.0.2.11" or "2001:db8::11"')
    if fault := _unusable(parsed):
        raise ValueError(f"{fault}: mail cannot be sent there")
    return parsed


def _unusable(parsed: IPv4Address | IPv6Address) -> str:
    if isinstance(parsed, IPv6Address):
        if parsed.ipv4_mapped is not None:
            return f"an IPv4-mapped address (write {parsed.ipv4_mapped})"
        if parsed.scope_id is not None:
            return "an address with a scope, which DNS cannot carry"
    if parsed.is_multicast:
        return "a multicast address"
    if parsed.is_unspecified:
        return "the unspecified address"
    return "the broadcast address" if parsed == IPv4Address("255.255.255.255") else ""


def network(value: object) -> IPv4Network | IPv6Network:
    """Return the network of a prefix, as "10.0.0.0/8"; an address without a length is a network of itself alone."""
    try:
        parsed = ip_interface(value) if isinstance(value, str) and _NETWORK.match(value) else None
    except ValueError:
        parsed = None
    if parsed is None:
        raise ValueError('expected a network, as in "10.0.0.0/8" or "2001:db8::/32"')
    if parsed.ip != parsed.network.network_address:
        raise ValueError(f"bits behind the prefix are set: expected {parsed.network}, or {parsed.ip} alone")
    if isinstance(parsed.network, IPv6Network) and parsed.network.subnet_of(_IPV4_MAPPED):
        raise ValueError("an IPv4-mapped network: expected it as one of IPv4, which is what such clients come as")
    return parsed.network


def url(value: object) -> str:
    """Return a URL that something can be posted to."""
    try:
        if isinstance(value, str) and _URL.match(value):
            parts = urlsplit(value)
            if parts.hostname and parts.port != 0 and not parts.fragment:
                return value
    except ValueError:
        pass
    raise ValueError('expected a URL, "https://HOST/PATH" or "http://..."')


def words(value: object) -> list[str]:
    """Return a program and its arguments."""
    if isinstance(value, list) and value and value[0] and all(isinstance(word, str) for word in value):
        return value
    raise ValueError("expected a list of words: the path of a program, and its arguments")


def path(value: object) -> str:
    """Return the path of a file, relative to the configuration file's directory or absolute."""
    if not isinstance(value, str) or not value or "\0" in value:
        raise ValueError("expected a path, relative to this file or absolute")
    return value


def label(value: object) -> str:
    """Return a name that can stand in POOL/MEMBER and as a DNS label."""
    if not isinstance(value, str) or not _LABEL.match(value):
        raise ValueError("expected a name of letters, digits, - and _ (at most 63, no - at either end)")
    return value


def told(value: object) -> str:
    """Return a text that anybody may be told, "" for none; beside any name it fits into the smallest response."""
    if not isinstance(value, str) or len(value) > MAX_TOLD or not all(" " <= letter <= "~" for letter in value):
        raise ValueError(f'expected at most {MAX_TOLD} printable ASCII characters, or "" to tell nothing')
    return value


def group(value: object) -> str:
    """Return what `label` does, "" for none."""
    return "" if value == "" else label(value)


def host(value: object) -> str:
    """Return a host name: labels as in `label`, with or without the final dot."""
    if not isinstance(value, str) or not all(map(_LABEL.match, value.removesuffix(".").split("."))):
        raise ValueError('expected a host name of letters, digits, - and _, as in "mx1.lb.example.org"')
    if len(value.removesuffix(".")) > MAX_NAME - 2:
        raise ValueError(f"expected a host name of at most {MAX_NAME} octets")
    return value


def ehlo(value: object) -> str:
    """Return what a probe calls itself: a host name or an address literal (RFC 5321 4.1.1.1)."""
    if not isinstance(value, str) or not _EHLO.match(value):
        raise ValueError('expected a host name, as in "probe.lb.example.org", or an address literal "[192.0.2.5]"')
    return value


def mailbox(value: object) -> str:
    """Return a mail address (RFC 5321 4.1.2, in ASCII), or "" for none."""
    if value == "":
        return ""
    match = _MAILBOX.match(value) if isinstance(value, str) else None
    if match is None:
        raise ValueError('expected a mail address, as in "postmaster@example.org", or ""')
    # RFC 5321 4.5.3.1: longer ones a server may refuse for that alone.
    if len(match.group(1)) > _MAX_LOCAL or len(match.group(2)) > _MAX_DOMAIN:
        raise ValueError(f"expected at most {_MAX_LOCAL} octets before the @ and {_MAX_DOMAIN} behind it")
    return match.group()


def keyword(value: object) -> str:
    """Return an EHLO keyword in upper case (RFC 5321 4.1.1.1)."""
    if isinstance(value, str) and _KEYWORD.match(value):
        return value.upper()
    if isinstance(value, str) and (bare := value.strip().partition(" ")[0]) != value and _KEYWORD.match(bare):
        raise ValueError(f'expected a keyword without parameters: "{bare.upper()}"')
    raise ValueError('expected an EHLO keyword of letters, digits and -, as in "PIPELINING"')


def tier_min(value: object) -> float:
    """Return a number of members, or as a float a fraction of weight."""
    if not isinstance(value, bool) and (
        (isinstance(value, int) and value >= 1) or (isinstance(value, float) and 0 < value <= 1)
    ):
        return value
    raise ValueError("expected a number of members from 1, or a fraction of weight above 0.0 and up to 1.0")


def records(value: object) -> int | None:
    """Return how many members an answer holds, None for all."""
    if value == "all":
        return None
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ValueError('expected a number of members from 1, or "all"')
    return value


def seconds(value: object) -> int:
    """Return a TTL in seconds (RFC 2181 section 8)."""
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= MAX_TTL:
        raise ValueError(f"expected a whole number of seconds from 0 to {MAX_TTL}")
    return value


def ttl(value: object) -> Ttl:
    """Return the TTL of a number of seconds, or of the two that it has to stay between."""
    if not isinstance(value, dict):
        return Ttl(seconds(value), seconds(value))
    example = "expected { min = 10, max = 120 }"
    if value.keys() != {"min", "max"}:
        raise ValueError(f"{example}: these two keys")
    for key, bound in value.items():
        try:
            seconds(bound)
        except ValueError as error:
            raise ValueError(f"{key}: {error}") from None
    found = Ttl(**value)
    if found.min > found.max:
        raise ValueError(f"{example}: min is {found.min}, and max only {found.max}")
    if found.min == 0:
        raise ValueError(f"{example}: with a min of 0 every message would ask while a change is near")
    return found


def service_type(value: object) -> ServiceType:
    """Return the type of a service that is answered from a pool; SPF services have a table of another kind."""
    for kind in ServiceType:
        if value == kind:
            return kind
    raise ValueError(f"expected one of {', '.join(ServiceType)}, SPF")


def companion(value: object) -> ServiceType:
    """Return the type of records that an address service can have beside its own."""
    for kind in (ServiceType.MX, ServiceType.SRV):
        if value == kind:
            return kind
    raise ValueError('expected "MX" or "SRV"')


def one_of(words: type[Word]) -> Callable[[object], Word]:
    """Return a reader of one of the words."""
    known = ", ".join(word.value for word in words)

    def read(value: object) -> Word:
        for word in words:
            if value == word.value:
                return word
        raise ValueError(f"expected one of {known}")

    return read
