"""What is wrong with a zone file, and where."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias


@dataclass(frozen=True, slots=True)
class Place:
    """A line of a file, counted from 1; None means the file as a whole."""

    file: str
    line: int | None

    def __str__(self) -> str:
        return self.file if self.line is None else f"{self.file}:{self.line}"


Places: TypeAlias = Mapping[tuple[bytes, int], Place]
"""Where each RRset (owner in wire format, type) begins."""


@dataclass(frozen=True, slots=True)
class ZoneProblem:
    """One thing that is wrong with a master file."""

    file: str
    line: int | None
    message: str

    def __str__(self) -> str:
        return f"{Place(self.file, self.line)}: {self.message}"


class ZoneError(Exception):
    """A master file that cannot be served, with all of its problems."""

    def __init__(self, problems: tuple[ZoneProblem, ...]) -> None:
        super().__init__("\n".join(str(problem) for problem in problems))
        self.problems = problems
