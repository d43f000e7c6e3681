"""Flags and counts of a header."""

from dnslb.wire.header import AUTHORITATIVE, counts


def test_only_rd_and_cd_are_copied() -> None:
    """Whatever else a standard query sets; QR and AA are set, so AD, Z, RA, TC and the rcode are clear."""
    for flags in range(0x10000):
        response = AUTHORITATIVE.get(flags.to_bytes(2, "big"))
        if flags & 0xF800:
            assert response is None
        else:
            assert response == (0x8400 | flags & 0x0110).to_bytes(2, "big")


def test_counts_are_in_the_order_of_the_sections() -> None:
    """Questions, answers, authorities, additionals; one question if nothing is said."""
    assert counts(2, 3, 0x0405) == bytes([0, 1, 0, 2, 0, 3, 4, 5])
    assert counts(0, 0, 0, questions=0) == bytes(8)
