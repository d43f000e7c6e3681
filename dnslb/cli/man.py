"""`dnslb man`."""

from pathlib import Path

import click

from dnslb.cli.manpage import pages
from dnslb.cli.options import Failed
from dnslb.cli.output import emit


@click.command
@click.argument("directory", type=click.Path(path_type=Path, file_okay=False))
def man(directory: Path) -> None:
    """Write manual pages of all commands into a directory.

    One for the program and one for each command, in section 1, with what --help says. The directory is made if it is
    missing.

    \b
    Example: dnslb man ~/.local/share/man/man1 && man dnslb-drain
    """  # noqa: D301 -- click's mark for a paragraph to be left as it is
    made = pages(click.get_current_context().find_root())
    try:
        directory.mkdir(parents=True, exist_ok=True)
        for name, text in made.items():
            (directory / f"{name}.1").write_text(text, encoding="utf-8")
    except OSError as error:
        raise Failed(f"{error.filename} cannot be written: {error.strerror}") from error
    emit(f"wrote {len(made)} pages into {directory}")
