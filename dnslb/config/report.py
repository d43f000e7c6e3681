"""Collects the problems and warnings of one configuration file, in the file's own words."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from dnslb.config.positions import KeyPath, Positions
from dnslb.config.problem import Problem

_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+\Z")
_MAX_VALUE = 80
_UNQUOTED = ("url",)
"""The end of a path whose value is never quoted: it may be a secret, as may whatever else looks like a URL."""


@dataclass(slots=True)
class Report:
    """What has been found so far. `raw` is the document as tomllib read it."""

    file: str
    raw: Mapping[str, Any]
    positions: Positions
    problems: list[Problem] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    _broken: set[KeyPath] = field(default_factory=set)

    def error(self, path: KeyPath, message: str) -> None:
        """Note that the value at the path, or the lack of one, is wrong."""
        if path in self._broken:
            return
        value = self._value(path)
        self.problems.append(Problem(self.file, self.positions.line(path), self.key(path), value, message))

    def broken(self, path: KeyPath, message: str) -> None:
        """Note an error in the value at the path that makes every later one there a mere consequence."""
        self.error(path, message)
        self._broken.add(path)

    def is_broken(self, path: KeyPath) -> bool:
        """Return whether the value at the path is known to be wrong, so that nothing should be concluded from it."""
        return path in self._broken

    def warn(self, path: KeyPath, message: str) -> None:
        """Note something that works, and that may yet surprise."""
        line = self.positions.line(path)
        place = self.file if line is None else f"{self.file}:{line}"
        self.warnings.append(f"{place}: {self.key(path)}: {message}")

    def key(self, path: KeyPath) -> str:
        """Return a path as it is written in TOML, with elements of arrays by their name where they have one."""
        text = ""
        for depth, part in enumerate(path, 1):
            if isinstance(part, int):
                text += f"[{self._name(path[:depth])}]"
            else:
                text += ("." if text else "") + (
                    part if _BARE_KEY.match(part) else json.dumps(part, ensure_ascii=False)
                )
        return text

    def _name(self, path: KeyPath) -> str:
        element = self._at(path)
        name = element.get("name") if isinstance(element, dict) else None
        return name if isinstance(name, str) and name else f"#{int(path[-1]) + 1}"

    def _value(self, path: KeyPath) -> str:
        value = self._at(path)
        if (
            value is None
            or path[-1:] == _UNQUOTED
            or isinstance(value, dict)
            or (isinstance(value, list) and isinstance(next(iter(value), 0), dict))
        ):
            return ""
        try:
            text = json.dumps(value, ensure_ascii=False, default=str)
        except ValueError:
            return "(a number with too many digits)"
        if "://" in text:
            return ""
        return text if len(text) <= _MAX_VALUE else text[: _MAX_VALUE - 3] + "..."

    def _at(self, path: KeyPath) -> Any:  # noqa: ANN401  # whatever the file holds
        value: Any = self.raw
        for part in path:
            try:
                value = value[part]
            except (KeyError, IndexError, TypeError):
                return None
        return value
