"""The index of positions: checked against tomllib, which reads the same text."""

import tomllib
from collections.abc import Iterator

import pytest
from hypothesis import given, reject
from hypothesis import strategies as st

from dnslb.config.positions import KeyPath, Positions

DOCUMENT = """\
# a comment with [brackets] and = signs
title = "one"

[server]
listen = [          # an array over lines
    "a:1",          # with ] in a comment
    "b]:2",

    "c:3" ]
"quoted key" = 1
'literal.key' = 2
dotted . "inner key" = 3
text = \"\"\"
first = "no key"
[no.header]
last\\\"\"\"\"\"\"
after_text = ''' '' one
two'''
[zone."lb.example.org"]
file = 'x'
[pool.inbound]
[[pool.inbound.member]]
name = "a"
auth = { user = "u", deep = { x = [1, {y = 2}] } }

[[pool.inbound.member]]
name = "b"
[pool.inbound.member.more]
z = 1
[[service]]
 [[service]]
  when = 1979-05-27 07:32:00
"""

LINES: dict[KeyPath, int] = {
    ("title",): 2,
    ("server",): 4,
    ("server", "listen"): 5,
    ("server", "listen", 0): 6,
    ("server", "listen", 1): 7,
    ("server", "listen", 2): 9,
    ("server", "quoted key"): 10,
    ("server", "literal.key"): 11,
    ("server", "dotted", "inner key"): 12,
    ("server", "text"): 13,
    ("server", "after_text"): 17,
    ("zone", "lb.example.org"): 19,
    ("zone", "lb.example.org", "file"): 20,
    ("pool",): 21,
    ("pool", "inbound"): 21,
    ("pool", "inbound", "member", 0): 22,
    ("pool", "inbound", "member", 0, "name"): 23,
    ("pool", "inbound", "member", 0, "auth", "user"): 24,
    ("pool", "inbound", "member", 0, "auth", "deep", "x", 1, "y"): 24,
    ("pool", "inbound", "member", 1): 26,
    ("pool", "inbound", "member", 1, "name"): 27,
    ("pool", "inbound", "member", 1, "more", "z"): 29,
    ("service", 0): 30,
    ("service", 1): 31,
    ("service", 1, "when"): 32,
}


def test_the_document_is_valid() -> None:
    """The table below is about a document that tomllib accepts."""
    assert len(tomllib.loads(DOCUMENT)["service"]) == 2


@pytest.mark.parametrize(("path", "line"), LINES.items(), ids=str)
def test_line_of_each_kind_of_key(path: KeyPath, line: int) -> None:
    """Headers, array tables, dotted and quoted keys, arrays, inline tables and long strings: each has its own line."""
    assert Positions(DOCUMENT).line(path) == line


@pytest.mark.parametrize(
    ("path", "line"),
    [
        (("server", "missing"), 4),
        (("pool", "inbound", "member", 1, "port"), 26),
        (("pool", "inbound", "member", 0, "auth", "password"), 24),
        (("nothing", "here"), None),
        ((), None),
    ],
)
def test_missing_keys_take_the_line_of_what_holds_them(path: KeyPath, line: int | None) -> None:
    """A key that is not there is missed in its table; a table that is not there has no line."""
    assert Positions(DOCUMENT).line(path) == line


def test_windows_line_ends() -> None:
    """A carriage return before the newline is part of the line's end."""
    assert Positions("a = 1\r\n\r\n[b]\r\nc = [\r\n 1]\r\n").line(("b", "c", 0)) == 5


def _key(number: int, style: int) -> str:
    return (f"k{number}", f'"k {number}"', f"'k.{number}'", f'"k\\u0020{number}"')[style]


class _Writer:
    """Writes a random document in which every leaf is a number that occurs once."""

    def __init__(self, data: st.DataObject) -> None:
        self.data = data
        self.next = 1000

    def pick(self, high: int) -> int:
        return self.data.draw(st.integers(0, high))

    def number(self) -> int:
        self.next += 1
        return self.next

    def value(self, depth: int) -> str:
        kind = self.pick(5 if depth else 2)
        if kind == 0:
            return f'"""{self.number()}\n[a]\nb = 1 \\"""\n"""""'
        if kind == 1:
            return f"'''{self.number()}\n#\n''''"
        if kind == 2:
            return str(self.number())
        if kind == 3:
            gap = ("", "\n", " # ]}\n")[self.pick(2)]
            return "[" + "".join(f"{gap}{self.value(depth - 1)}{gap}," for _ in range(self.pick(3))) + f"{gap}]"
        return "{" + ", ".join(self.pair(depth - 1) for _ in range(self.pick(2))) + "}"

    def pair(self, depth: int) -> str:
        keys = [_key(self.number(), self.pick(3)) for _ in range(1 + self.pick(1))]
        return f"{' . '.join(keys)} = {self.value(depth)}"

    def document(self) -> str:
        lines = []
        for _ in range(self.pick(6)):
            lines.append(("", "# [x]", self._header())[self.pick(2)])
            lines += [self.pair(2) for _ in range(self.pick(3))]
        return "\n".join(lines)

    def _header(self) -> str:
        if self.pick(1):
            return f'[[ many."of them"{".deep" * self.pick(1)} ]]' if self.pick(1) else "[[ top ]]"
        return f"[ {_key(self.number(), self.pick(3))} . x ]"


def _leaves(value: object, path: KeyPath = ()) -> Iterator[tuple[KeyPath, str]]:
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _leaves(inner, (*path, key))
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from _leaves(inner, (*path, index))
    else:
        yield path, str(value)[:4]


@given(st.data())
def test_every_leaf_of_any_document_is_found_on_its_line(data: st.DataObject) -> None:
    """Whatever tomllib finds in a document, the index knows the line on which it begins."""
    text = _Writer(data).document()
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        # A table of arrays may not come before the array that holds it.
        reject()
    positions, lines = Positions(text), text.split("\n")
    for path, number in _leaves(document):
        line = positions.line(path)
        assert line is not None
        assert number in lines[line - 1]
