"""Messages that every run begins with: corpus.txt, to which each finding is added."""

from pathlib import Path

CORPUS = tuple(
    (words, bytes.fromhex(octets))
    for line in Path(__file__).with_name("corpus.txt").read_text().splitlines()
    if not line.startswith("#")
    for octets, _, words in [line.partition(" ")]
)
"""What each one is, and its octets."""
