"""Options as the RFCs write them."""

import dns.edns
import pytest

from dnslb.wire.options import NSID, InfoCode, extended_error, keepalive, option


def test_an_option_has_its_code_its_length_and_its_data() -> None:
    """Two octets each before the data (RFC 6891 section 6.1.2)."""
    assert option(NSID, b"me") == b"\0\3\0\2me"
    assert option(NSID, b"") == b"\0\3\0\0"


def test_keepalive_counts_in_tenths_of_a_second() -> None:
    """RFC 7828 section 3.1."""
    assert keepalive(10.0) == b"\0\x0b\0\2\0\x64"
    assert keepalive(0.1) == b"\0\x0b\0\2\0\1"


@pytest.mark.parametrize("text", ["", "too few"])
@pytest.mark.parametrize("code", InfoCode)
def test_an_extended_error_is_what_dnspython_reads(code: InfoCode, text: str) -> None:
    """INFO-CODE, then the text in UTF-8 without an end (RFC 8914 section 2); the codes are IANA's."""
    octets = extended_error(code, text)
    read = dns.edns.option_from_wire(dns.edns.OptionType.EDE, octets, 4, len(octets) - 4)
    assert read == dns.edns.EDEOption(dns.edns.EDECode[code.name], text or None)
