"""`dnslb run`."""

import signal
import sys
from pathlib import Path

import click

from dnslb.cli.options import config_option, find_config


@click.command
@click.option("--replace", is_flag=True, help="Take the place of the daemon that runs; no query is lost.")
@config_option
def run(config: Path | None, *, replace: bool) -> None:
    """Run the daemon, in the foreground.

    It probes the members of all pools and answers DNS. SIGHUP (or `dnslb reload`) reads the configuration again;
    SIGTERM or Ctrl-C stops it after what is in flight.

    With --replace it takes the place of the daemon that runs with the same control socket, after an upgrade for
    example: that one answers until this one does. If this one cannot start, that one runs on.

    Example: dnslb run -c /etc/dnslb/dnslb.toml
    """
    # Until the daemon can reload it would end us: as long as that, all is being read anyway.
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    path = find_config(config)
    from dnslb.daemon import run as serve  # noqa: PLC0415 -- all of dnslb, which no other command needs

    sys.exit(serve(path, replace=replace))
