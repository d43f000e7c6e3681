"""The lexical half of RFC 1035 section 5.1: the text of a master file becomes entries of words.

An entry is one line, or several that parentheses join. Comments are gone; quoted strings keep their quotes.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

_TOKEN = re.compile(
    r"""(?P<blank>[ \t\f\v]+)
      | (?P<word>(?:[^\s"();\\]|\\[^\n])+)
      | (?P<string>"(?:[^"\\\n]|\\[^\n])*")
      | (?P<comment>;[^\n]*)
      | (?P<newline>\n)
      | (?P<open>\()
      | (?P<close>\))
      | (?P<bad>.)""",
    re.VERBOSE | re.DOTALL,
)

_BAD = {
    '"': "a quoted string is not closed on its line",
    "\\": "a backslash at the end of the line escapes nothing",
    "\r": "a carriage return stands inside a line",
}


@dataclass(slots=True)
class Entry:
    """One entry. `indented` means that its first line begins with a blank: the owner is the last one named.

    `fault` says what is wrong with the words themselves, "" when nothing is.
    """

    line: int
    indented: bool = False
    words: list[str] = field(default_factory=list)
    fault: str = ""


class _Builder:
    """Collects the tokens of one entry after the other."""

    def __init__(self) -> None:
        self.line = 1
        self.depth = 0
        self.glued = False
        self.entry = Entry(1)

    def add(self, kind: str, text: str) -> Entry | None:
        """Take one token; return the entry that it ends."""
        if kind == "newline":
            return self._newline()
        if kind in {"word", "string"}:
            self._word(text)
            return None
        self.glued = False
        if kind == "blank":
            self.entry.indented |= not self.entry.words and not self.depth
        elif kind == "open":
            self.depth += 1
        elif kind == "close":
            self._close()
        elif kind == "bad":
            self.entry.fault = self.entry.fault or _BAD.get(text, f"character U+{ord(text):04X} cannot stand here")
        return None

    def finish(self) -> Entry:
        """Return the entry that the end of the text ends."""
        if self.depth and not self.entry.fault:
            self.entry.fault = "a parenthesis is never closed"
        self.depth = 0
        return self.entry

    def _word(self, text: str) -> None:
        # alpn="h2,h3" is one word of two tokens (RFC 9460 2.1).
        if self.glued:
            self.entry.words[-1] += text
        else:
            self.entry.words.append(text)
        self.glued = True

    def _close(self) -> None:
        if self.depth:
            self.depth -= 1
        else:
            self.entry.fault = self.entry.fault or "a parenthesis closes that was never opened"

    def _newline(self) -> Entry | None:
        self.line += 1
        self.glued = False
        # After a broken word parentheses cannot be trusted: begin anew with the next line.
        if self.depth and not self.entry.fault:
            return None
        ended, self.entry, self.depth = self.entry, Entry(self.line), 0
        return ended


def split(text: str) -> Iterator[Entry]:
    """Yield the entries of a master file's text that hold words or a fault, in order."""
    builder = _Builder()
    for match in _TOKEN.finditer(text.replace("\r\n", "\n")):
        entry = builder.add(match.lastgroup or "", match.group())
        if entry is not None and (entry.words or entry.fault):
            yield entry
    last = builder.finish()
    if last.words or last.fault:
        yield last
