# The part of dnslib that dnslb uses; the library itself is untyped.

class DNSLabel:
    def __init__(self, label: list[bytes]) -> None: ...

class DNSBuffer:
    data: bytearray

class RD:
    def pack(self, buffer: DNSBuffer) -> None: ...

class MX(RD):
    def __init__(self, label: DNSLabel, preference: int) -> None: ...

class SRV(RD):
    def __init__(self, priority: int, weight: int, port: int, target: DNSLabel) -> None: ...

class DNSRecord:
    q: object
    rr: list[object]
    auth: list[object]
    ar: list[object]

    @classmethod
    def parse(cls, packet: bytes) -> DNSRecord: ...
