"""What the probing benchmarks probe: mail servers in processes of their own, and their certificates."""

from __future__ import annotations

import datetime as dt
import subprocess
import sys
from pathlib import Path
from typing import IO, TYPE_CHECKING

import trustme

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tests.bench.parts import Stage

ANYWHERE = ("0.0.0.0",)  # noqa: S104 - all of 127.0.0.0/8 in one listener
HOSTS = "*.lb.example.org"


class Certificates:
    """Files in PEM form: one that is good, one that has expired, and the authority that they come from."""

    def __init__(self, directory: Path) -> None:
        authority = trustme.CA()
        self.authority, self.good, self.expired = (directory / name for name in ("ca.pem", "good.pem", "expired.pem"))
        authority.cert_pem.write_to_path(self.authority)
        authority.issue_cert(HOSTS).private_key_and_cert_chain_pem.write_to_path(self.good)
        yesterday = dt.datetime.now(dt.UTC) - dt.timedelta(days=1)
        authority.issue_cert(HOSTS, not_after=yesterday).private_key_and_cert_chain_pem.write_to_path(self.expired)


class Responder:
    """Members in one process of their own (see responder.py); they end with the stage."""

    def __init__(self, stage: Stage, port: int, addresses: Iterable[str], certificate: Path) -> None:
        script = Path(__file__).with_name("responder.py")
        command = [sys.executable, str(script), str(port), ",".join(addresses), str(certificate)]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True
        )
        self.pid = self._process.pid
        stage.callback(self.kill)
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._orders: IO[str] = self._process.stdin
        self._answers: IO[str] = self._process.stdout
        assert self.hear() == ["ready"]

    def order(self, *words: object) -> None:
        """Tell it what to do."""
        self._orders.write(" ".join(map(str, words)) + "\n")
        self._orders.flush()

    def hear(self) -> list[str]:
        """Wait for its next line and return the words."""
        return self._answers.readline().split()

    def kill(self) -> None:
        """End it without a word to anybody who is connected."""
        self._process.kill()
        self._process.wait()
        self._orders.close()
        self._answers.close()
