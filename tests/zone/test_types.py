"""Every record type that dnspython reads stands in a zone file, and comes out of an answer as it went in."""

import dns.rdata
import dns.rdataclass
import dns.rdatatype
import pytest

from tests.conftest import ask, snapshot, zone

_META = {0, 41, *range(128, 256)}
_UNREAD = {"MD", "MF", "MB", "MG", "MR", "NULL", "MINFO", "NXT", "A6", "UNSPEC", "TA"}
"""Types without a presentation of their own in dnspython."""
_HASH = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
DATA = {
    "A": "192.0.2.1",
    "CNAME": "other.lb.test.",
    "WKS": "192.0.2.1 6 0 25",
    "PTR": "other.lb.test.",
    "HINFO": '"cpu" "system; \\"odd\\""',
    "MX": "10 mail.elsewhere.test.",
    "TXT": '"v=spf1 -all" "(;)" "\\200"',
    "RP": "hostmaster.lb.test. text.lb.test.",
    "AFSDB": "1 other.lb.test.",
    "X25": '"311061700956"',
    "ISDN": '"150862028003217" "004"',
    "RT": "2 other.lb.test.",
    "NSAP": "0x47000580ffff000000321099991111222233334444",
    "NSAP-PTR": "other.lb.test.",
    "SIG": "A 13 3 300 20300101000000 20200101000000 12345 lb.test. AQIDBA==",
    "KEY": "512 3 13 AQIDBA==",
    "PX": "10 a.lb.test. b.lb.test.",
    "GPOS": "-32.6882 116.8652 10.0",
    "AAAA": "2001:db8::1",
    "LOC": "52 22 23.000 N 4 53 32.000 E -2.00m 0.00m 10000.00m 10.00m",
    "SRV": "0 1 587 mail.elsewhere.test.",
    "NAPTR": '100 10 "u" "E2U+sip" "!^.*$!sip:a@lb.test!" .',
    "KX": "10 other.lb.test.",
    "CERT": "PKIX 12345 RSASHA256 AQIDBA==",
    "DNAME": "other.lb.test.",
    "APL": "1:192.0.2.0/24 !2:2001:db8::/32",
    "DS": f"12345 13 2 {_HASH}",
    "SSHFP": f"4 2 {_HASH}",
    "IPSECKEY": "10 1 2 192.0.2.38 AQIDBA==",
    "RRSIG": "A 13 3 300 20300101000000 20200101000000 12345 lb.test. AQIDBA==",
    "NSEC": "z.lb.test. A RRSIG NSEC",
    "DNSKEY": "257 3 13 AQIDBA==",
    "DHCID": "AAIBY2/AuCccgoJbsaxcQc9TUapptP69lOjxfNuVAA2kjEA=",
    "NSEC3": "1 0 0 - 2vptu5timamqttgl4luu9kg21e0aor3s A",
    "NSEC3PARAM": "1 0 0 -",
    "TLSA": f"3 1 1 {_HASH}",
    "SMIMEA": f"3 1 1 {_HASH}",
    "HIP": "2 200100107B1A74DF365639CC39F1D578 AwEAAQ== rvs.lb.test.",
    "NINFO": '"zone status"',
    "CDS": f"12345 13 2 {_HASH}",
    "CDNSKEY": "257 3 13 AQIDBA==",
    "OPENPGPKEY": "AQIDBA==",
    "CSYNC": "66 3 A NS AAAA",
    "ZONEMD": f"1 1 1 {_HASH}{_HASH[:32]}",
    "SVCB": '1 svc.lb.test. alpn="h2,h3" port="853" ipv4hint="192.0.2.1"',
    "HTTPS": '1 . alpn="h2" ipv6hint="2001:db8::1"',
    "DSYNC": "CDS NOTIFY 5300 other.lb.test.",
    "HHIT": "AQIDBA==",
    "BRID": "AQIDBA==",
    "SPF": '"v=spf1 -all"',
    "NID": "10 0014:4fff:ff20:ee64",
    "L32": "10 192.0.2.1",
    "L64": "10 2001:0db8:1140:1000",
    "LP": "10 other.lb.test.",
    "EUI48": "00-00-5e-00-53-2a",
    "EUI64": "00-00-5e-ef-10-00-00-2a",
    "URI": '10 1 "ftp://ftp.lb.test/public"',
    "CAA": '0 issue "ca.test; policy=ev"',
    "AVC": '"app-name:x"',
    "AMTRELAY": "10 0 3 other.lb.test.",
    "RESINFO": '"qnamemin" "exterr=15-17"',
    "WALLET": '"BTC" "none"',
    "DLV": f"12345 13 2 {_HASH}",
    "TYPE65280": "\\# 4 01020304",
    "TYPE257": "\\# 7 00056973737565",
}
"""Type -> the data of one record, absolute names."""


def test_all_types_are_here() -> None:
    """A type that a newer dnspython reads has to be added."""
    known = {dns.rdatatype.to_text(rtype) for rtype in dns.rdatatype.RdataType if rtype not in _META}
    assert known - _UNREAD - {"NS", "SOA"} == DATA.keys() - {"TYPE65280", "TYPE257"}


@pytest.mark.parametrize("rdtype", DATA)
@pytest.mark.parametrize("owner", ["it", "*.it"])
def test_a_record_of_each_type_is_answered(rdtype: str, owner: str) -> None:
    """By its own name and through a wildcard, as dnspython has it."""
    if rdtype in {"DS", "DNAME"}:
        owner = "it"
    of = snapshot(zone(f"{owner} {rdtype} {DATA[rdtype]}"))
    (rrset,) = ask(of, f"{owner.replace('*', 'x')}.lb.test {rdtype}").answer
    data = dns.rdata.from_text(dns.rdataclass.RdataClass.IN, rrset.rdtype, DATA[rdtype])
    assert list(rrset) == [data]


@pytest.mark.parametrize("rdtype", sorted(_UNREAD))
def test_a_type_without_a_presentation_is_written_in_octets(rdtype: str) -> None:
    r"""\# LENGTH HEX stands for the data of any type (RFC 3597 section 5)."""
    (rrset,) = ask(snapshot(zone(f"it {rdtype} \\# 3 010203")), f"it.lb.test {rdtype}").answer
    assert rrset[0].to_wire() == b"\x01\x02\x03"
