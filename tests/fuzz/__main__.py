"""Fuzzing for as long as one likes: `python -m tests.fuzz --for 1h`. It ends with 1 at the first finding."""

from __future__ import annotations

import argparse
import hashlib
import re
import sys
import time
from pathlib import Path
from random import Random, SystemRandom

from tests.bench.report import say
from tests.fuzz.corpus import CORPUS
from tests.fuzz.engines import CLIENTS, TERMS, compare
from tests.fuzz.hunt import Hunt
from tests.server.conftest import ENGINES

_SECONDS = {"s": 1, "m": 60, "h": 3600}
_SAY_EVERY = 10.0


def main(words: list[str]) -> int:
    """Fuzz; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz")
    parser.add_argument("--for", dest="seconds", type=_seconds, default=60.0, help="how long: 90s, 10m, 1h (1m)")
    parser.add_argument("--seed", type=int, default=SystemRandom().getrandbits(32), help="to do the same again")
    parser.add_argument("--corpus", type=Path, help="directory that what is worth keeping goes to, and comes from")
    parser.add_argument("--engines", action="store_true", help="ask the C extension and Python the same instead")
    options = parser.parse_args(words)
    say(f"seed {options.seed}")
    if options.engines:
        _compare_engines(options.seed, options.seconds)
        return 0
    random = Random(options.seed)  # noqa: S311 - what can be done again is no secret
    hunting = Hunt(random, [message for _, message in CORPUS] + _read(options.corpus))
    found = hunting.begin()
    started = said = time.monotonic()
    while found is None and time.monotonic() - started < options.seconds:
        found = hunting.step()
        if time.monotonic() - said > _SAY_EVERY:
            said = time.monotonic()
            _say(hunting, said - started)
    _say(hunting, time.monotonic() - started)
    _write(options.corpus, hunting.kept[len(CORPUS) :])
    if found is not None:
        say(f"FOUND: {found}")
        return 1
    return 0


def _compare_engines(seed: int, seconds: float) -> None:
    """Raise AssertionError where the engines differ."""
    say(f"engines: {', '.join(ENGINES)}")
    until, runs = time.monotonic() + seconds, 0
    while time.monotonic() < until:
        random = Random(seed + runs)  # noqa: S311 - as above
        try:
            compare(random.choice(list(CLIENTS)), random.choice(list(TERMS.values())), random, 12)
        except AssertionError:
            say(f"FOUND with --seed {seed + runs}")
            raise
        runs += 1
    say(f"{seconds:.0f} s: {runs} runs")


def _seconds(text: str) -> float:
    match = re.fullmatch(r"(\d+)([smh])", text)
    if match is None:
        raise argparse.ArgumentTypeError(f"{text!r}: expected for example 90s, 10m or 1h")
    return int(match[1]) * _SECONDS[match[2]]


def _say(hunting: Hunt, seconds: float) -> None:
    say(f"{seconds:.0f} s: {hunting.tried} messages, {len(hunting.kept)} kept, {len(hunting.steps)} steps of the code")


def _read(corpus: Path | None) -> list[bytes]:
    return [path.read_bytes() for path in sorted(corpus.iterdir())] if corpus and corpus.is_dir() else []


def _write(corpus: Path | None, messages: list[bytes]) -> None:
    if corpus is not None:
        corpus.mkdir(exist_ok=True)
        for message in messages:
            (corpus / hashlib.sha256(message).hexdigest()[:16]).write_bytes(message)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
