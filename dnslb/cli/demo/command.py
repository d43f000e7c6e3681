"""The words `dnslb demo` and what may stand behind them."""

import asyncio
import os
import shutil
import sys
from pathlib import Path

import click
from rich.console import Console

from dnslb.cli.demo.audience import AsJson, AsLines, AtTerminal, Audience
from dnslb.cli.demo.daemon import DaemonError
from dnslb.cli.demo.performance import Performance
from dnslb.cli.demo.script import SHORTEST
from dnslb.cli.options import Failed, errors_shown
from dnslb.config.values import duration


class _Duration(click.ParamType[float]):
    """Seconds that are enough to see a server die and return."""

    name = "duration"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Return the seconds of "20s", or say what is wrong."""
        try:
            seconds = duration(value)
        except ValueError as error:
            self.fail(f"{value!r}: {error}", param, ctx)
        if seconds < SHORTEST:
            self.fail(f"{value} is too short to see a server die and return: at least {SHORTEST:.0f}s", param, ctx)
        return seconds


@click.command()
@click.option("--for", "seconds", type=_Duration(), metavar="DURATION", help="End by itself after, say, 20s.")
@click.option("--json", "as_json", is_flag=True, help="Print nothing but a report, at the end.")
def demo(seconds: float | None, as_json: bool) -> None:  # noqa: FBT001 - click passes it by name
    """Show dnslb at work on this machine, with nothing to set up.

    Three small mail servers, a zone and the daemon run on loopback addresses, and you see what resolvers get. Every
    few seconds a server dies and comes back. Ctrl-C ends it, and it leaves nothing behind.

    Exit status: 0 after Ctrl-C, or if a server was seen leaving the answers and coming back; 1 if not.
    """
    with errors_shown(as_json=as_json):
        sys.exit(asyncio.run(_play(seconds, _audience(as_json=as_json))))


async def _play(seconds: float | None, audience: Audience) -> int:
    performance = Performance(seconds, _program(), audience)
    try:
        await performance.run()
        audience.leave(performance.story)
    except BrokenPipeError:
        # Whoever reads has seen enough. The interpreter would flush into the pipe once more, and complain.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except (DaemonError, OSError) as error:
        raise Failed(str(error)) from error
    if performance.stopped.is_set() or performance.story.has_complete_round:
        return 0
    click.echo("dnslb demo: no server was seen leaving the answers and coming back", err=True)
    return 1


def _audience(*, as_json: bool) -> Audience:
    if as_json:
        return AsJson()
    console = Console(highlight=False)
    return AtTerminal(console) if console.is_terminal and not console.is_dumb_terminal else AsLines()


def _program() -> str:
    """Return what to type for this very dnslb in another terminal."""
    called = Path(sys.argv[0])
    if called.name != "dnslb":
        return f"{sys.executable} -m dnslb"
    on_path = shutil.which("dnslb")
    return "dnslb" if on_path and Path(on_path).samefile(called) else str(called.absolute())
