"""What is wrong with a configuration, and where."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong: the file, the line (from 1, None for the file as a whole), the key and its value.

    `key` is dotted as in TOML, with the name of a member or service in brackets; "" where no key is to blame. `value`
    is as written, "" when the key is missing. `message` says what was expected.
    """

    file: str
    line: int | None
    key: str
    value: str
    message: str

    def __str__(self) -> str:
        place = self.file if self.line is None else f"{self.file}:{self.line}"
        subject = f"{self.key} = {self.value}" if self.key and self.value else self.key
        return f"{place}: {subject}: {self.message}" if subject else f"{place}: {self.message}"


class ConfigError(Exception):
    """A configuration that cannot be used, with all of its problems in the order of files and lines."""

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        super().__init__("\n".join(str(problem) for problem in problems))
        self.problems = problems
