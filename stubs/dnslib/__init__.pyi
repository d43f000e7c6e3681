# The part of dnslib that dnslb uses; the library itself is untyped.

class DNSLabel:
    def __init__(self, label: list[bytes]) -> None: ...

class DNSBuffer:
    data: bytearray

class DNSError(Exception): ...

class Bimap:
    def __getitem__(self, code: int) -> str: ...
    def __getattr__(self, text: str) -> int: ...

QTYPE: Bimap

class RD:
    def pack(self, buffer: DNSBuffer) -> None: ...
    def toZone(self) -> str: ...  # noqa: N802 - the library's name

class RR:
    rname: DNSLabel
    rtype: int
    ttl: int
    rdata: RD

class MX(RD):
    def __init__(self, label: DNSLabel, preference: int) -> None: ...

class SRV(RD):
    def __init__(self, priority: int, weight: int, port: int, target: DNSLabel) -> None: ...

class CNAME(RD): ...

RDMAP: dict[str, type[RD]]

class DNSRecord:
    q: object
    rr: list[RR]
    auth: list[RR]
    ar: list[RR]

    @classmethod
    def parse(cls, packet: bytes) -> DNSRecord: ...
