"""Where each key of a TOML document stands: tomllib does not say.

The text is known to be valid TOML (tomllib has read it before), so this scanner only has to follow it: headers, array
tables, dotted and quoted keys, strings and arrays over several lines, inline tables (https://toml.io/en/v1.0.0).
"""

import re
import tomllib
from bisect import bisect_left
from typing import TypeAlias

KeyPath: TypeAlias = tuple[str | int, ...]

_BLANK = re.compile(r"(?:[ \t\r\n]|#[^\n]*)*")
_KEY = re.compile(r"""[A-Za-z0-9_-]+|"(?:[^"\\\n]|\\.)*"|'[^'\n]*'""")
_DOT = re.compile(r"[ \t]*\.[ \t]*")
_STRING = re.compile(
    r'''"""(?:[^\\]|\\.)*?"""(?:"{0,2})|\'\'\'.*?\'\'\'(?:\'{0,2})|"(?:[^"\\\n]|\\.)*"|'[^'\n]*\'''', re.DOTALL
)
_BARE = re.compile(r"[^,\]}#\n]+")


class Positions:
    """The line of each key and value, counted from 1."""

    def __init__(self, text: str) -> None:
        self._lines: dict[KeyPath, int] = {}
        self._newlines = [match.start() for match in re.finditer("\n", text)]
        self._text = text
        self._at = 0
        self._arrays: dict[KeyPath, int] = {}
        self._document()

    def line(self, path: KeyPath) -> int | None:
        """Return the line of the key or array element at the path, or of the nearest one above it that is written."""
        while path:
            if path in self._lines:
                return self._lines[path]
            path = path[:-1]
        return None

    def _document(self) -> None:
        table: KeyPath = ()
        self._skip()
        while self._at < len(self._text):
            if self._text[self._at] == "[":
                table = self._header()
            else:
                self._pair(table)
            self._skip()

    def _header(self) -> KeyPath:
        start, brackets = self._at, 2 if self._text.startswith("[[", self._at) else 1
        self._at += brackets
        keys = self._keys()
        table: KeyPath = ()
        for key in keys[:-1]:
            table = self._latest((*table, key), start)
        table = (*table, keys[-1])
        if brackets == 2:  # noqa: PLR2004  # [[
            self._arrays[table] = self._arrays.get(table, -1) + 1
        table = self._latest(table, start)
        self._skip()
        self._at += brackets
        return table

    def _latest(self, table: KeyPath, start: int) -> KeyPath:
        """Note a table of a header; a name that is an array of tables means its latest element."""
        self._note(table, start)
        if table in self._arrays:
            table = (*table, self._arrays[table])
            self._note(table, start)
        return table

    def _pair(self, table: KeyPath) -> None:
        start = self._at
        for key in self._keys():
            table = (*table, key)
            self._note(table, start)
        self._skip()
        self._at += len("=")
        self._skip()
        self._value(table)

    def _keys(self) -> list[str]:
        keys = []
        self._skip()
        while match := _KEY.match(self._text, self._at):
            word = match.group()
            keys.append(tomllib.loads(f"key = {word}")["key"] if word[0] in "\"'" else word)
            self._at = match.end()
            if not (dot := _DOT.match(self._text, self._at)):
                break
            self._at = dot.end()
        return keys

    def _value(self, path: KeyPath) -> None:
        if match := _STRING.match(self._text, self._at):
            self._at = match.end()
        elif self._text[self._at] == "[":
            self._array(path)
        elif self._text[self._at] == "{":
            self._inline_table(path)
        elif match := _BARE.match(self._text, self._at):
            self._at = match.end()

    def _array(self, path: KeyPath) -> None:
        self._at += len("[")
        index = 0
        while not self._ends("]"):
            self._note((*path, index), self._at)
            self._value((*path, index))
            index += 1

    def _inline_table(self, path: KeyPath) -> None:
        self._at += len("{")
        while not self._ends("}"):
            self._pair(path)

    def _ends(self, closing: str) -> bool:
        """Go to the next element, or behind the closing bracket if there is none."""
        self._skip()
        if self._text[self._at] == ",":
            self._at += 1
            self._skip()
        if self._text[self._at] != closing:
            return False
        self._at += 1
        return True

    def _skip(self) -> None:
        match = _BLANK.match(self._text, self._at)
        self._at = match.end() if match else self._at

    def _note(self, path: KeyPath, start: int) -> None:
        self._lines.setdefault(path, bisect_left(self._newlines, start) + 1)
