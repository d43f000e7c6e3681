"""Manual pages (man(7), section 1) from what `--help` says. Pure."""

import re
from collections.abc import Iterator
from inspect import cleandoc

import click

from dnslb import __version__

_UNFILLED = "\b"
"""Click's mark for a paragraph to be left as it is."""
_EXAMPLE = re.compile(r"Example: *")
_STATUS = "Exit status: "
_LETTERS = {"\\": r"\e", "-": r"\-", "~": r"\(ti", "^": r"\(ha", "'": r"\(aq", "`": r"\(ga", '"': r"\(dq"}
_QUOTED = re.compile(r"`([^`\n]+)`")


def pages(root: click.Context) -> dict[str, str]:
    """Return the text of each page by its name: that of the program, `dnslb`, and `dnslb-COMMAND` for each command."""
    assert isinstance(root.command, click.Group)  # noqa: S101 -- the caller's `root` is that of the program
    commands = [(name, root.command.get_command(root, name)) for name in root.command.list_commands(root)]
    contexts = {name: click.Context(command, root, name) for name, command in commands if command}
    found = {f"dnslb-{name}": _page(f"dnslb-{name}", ctx, see=("dnslb",)) for name, ctx in contexts.items()}
    return {"dnslb": _page("dnslb", root, contexts, see=tuple(found)), **found}


def _page(
    name: str, ctx: click.Context, commands: dict[str, click.Context] | None = None, *, see: tuple[str, ...]
) -> str:
    text, examples, status = _parts(_help(ctx))
    sections = [
        ("NAME", [f"{letters(name)} \\- {letters(_summary(ctx))}"]),
        ("SYNOPSIS", [_synopsis(ctx)]),
        ("DESCRIPTION", text),
        ("COMMANDS", [_entry(each, _summary(of)) for each, of in (commands or {}).items()]),
        ("OPTIONS", [_entry(*record) for record in _options(ctx)]),
        ("EXIT STATUS", status),
        ("EXAMPLES", examples),
        ("SEE ALSO", [",\n".join(rf"\fB{letters(other)}\fP(1)" for other in see)]),
    ]
    head = f'.TH {letters(name.upper())} 1 "" "dnslb {__version__}" "dnslb"'
    return "\n".join([head, *(f".SH {title}\n" + "\n".join(body) for title, body in sections if body), ""])


def _help(ctx: click.Context) -> str:
    return cleandoc(ctx.command.help or "")


def _summary(ctx: click.Context) -> str:
    """Return the first sentence of a help, without its full stop."""
    return _help(ctx).partition("\n\n")[0].replace("\n", " ").partition(". ")[0].removesuffix(".")


def _synopsis(ctx: click.Context) -> str:
    pieces = " ".join(ctx.command.collect_usage_pieces(ctx))
    return f".B {letters(ctx.command_path)}\n{letters(pieces)}"


def _options(ctx: click.Context) -> Iterator[tuple[str, str]]:
    # What arguments are, their names say.
    options = (param for param in ctx.command.get_params(ctx) if isinstance(param, click.Option))
    return (record for option in options if (record := option.get_help_record(ctx)))


def _entry(term: str, text: str) -> str:
    return f".TP\n.B {letters(term)}\n{running(' '.join(text.split()))}"


def _parts(text: str) -> tuple[list[str], list[str], list[str]]:
    """Return the paragraphs of a help, its examples, and what it says of exit statuses."""
    told: list[str] = []
    examples: list[str] = []
    status: list[str] = []
    for paragraph in text.split("\n\n"):
        body = paragraph.removeprefix(_UNFILLED).strip("\n")
        paragraphs = [".PP"] if told else []
        if begun := _EXAMPLE.match(body):
            examples.append(_as_it_is([line[begun.end() :] for line in body.splitlines()]))
        elif body.startswith(_STATUS):
            status.append(running(body.removeprefix(_STATUS).replace("\n", " ")))
        elif body != paragraph:
            told += [*paragraphs, _as_it_is(body.splitlines())]
        else:
            told += [*paragraphs, running(body.replace("\n", " "))]
    return told, examples, status


def _as_it_is(lines: list[str]) -> str:
    return "\n".join([".nf", *(letters(line) for line in lines), ".fi"])


def running(text: str) -> str:
    """Return a sentence; what stands in backquotes is bold there."""
    parts = _QUOTED.split(text)
    return _guarded(
        "".join(rf"\fB{_spelled(part)}\fP" if odd % 2 else _spelled(part) for odd, part in enumerate(parts))
    )


def letters(text: str) -> str:
    """Return a text whose every letter is shown as it is: no hyphen for a minus, no quotes that nobody can type."""
    return _guarded(_spelled(text))


def _spelled(text: str) -> str:
    return "".join(_LETTERS.get(letter, letter) for letter in text)


def _guarded(text: str) -> str:
    """Return a line that is no request, whatever it begins with."""
    return rf"\&{text}" if text.startswith(".") else text
