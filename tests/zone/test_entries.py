"""Master files as entries of words (RFC 1035 section 5.1)."""

import pytest

from dnslb.zone.entries import split


def entries(text: str) -> list[tuple[int, bool, list[str], str]]:
    """Return the entries of a text as tuples."""
    return [(entry.line, entry.indented, entry.words, entry.fault) for entry in split(text)]


def test_lines_comments_and_blanks() -> None:
    """An entry has the line on which it begins; empty lines and comments are none."""
    assert entries("; only a comment\n\na 1 A ; x\n \t \n\tB\r\nc\n") == [
        (3, False, ["a", "1", "A"], ""),
        (5, True, ["B"], ""),
        (6, False, ["c"], ""),
    ]


def test_parentheses_join_lines() -> None:
    """Within parentheses the end of a line is a blank, and what is quoted or commented out does not count."""
    assert entries('a ( b ; ) not this\n "( c"\n)d\ne') == [
        (1, False, ["a", "b", '"( c"', "d"], ""),
        (4, False, ["e"], ""),
    ]


def test_quotes_and_escapes() -> None:
    """Quoted strings keep quotes, semicolons and escapes; a string glued to a word is one word with it (RFC 9460)."""
    assert entries('a "b;\\"c" d\\;e\\(f alpn="h2,h3" "x""y"') == [
        (1, False, ["a", '"b;\\"c"', "d\\;e\\(f", 'alpn="h2,h3"', '"x""y"'], "")
    ]


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ('a "b', "a quoted string is not closed on its line"),
        ("a b)", "a parenthesis closes that was never opened"),
        ("a (b", "a parenthesis is never closed"),
        ("a \\", "a backslash at the end of the line escapes nothing"),
        ("a\rb", "a carriage return stands inside a line"),
        ("a \u00a0 b", "character U+00A0 cannot stand here"),
    ],
)
def test_faults(text: str, fault: str) -> None:
    """What cannot be words is a fault of its entry, and the next line is read all the same, if there can be one."""
    assert [found[3] for found in entries(text)] == [fault]
    if "(" not in text:
        assert entries(f"{text}\nnext")[1:] == [(2, False, ["next"], "")]
