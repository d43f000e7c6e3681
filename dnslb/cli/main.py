"""`dnslb`: the group of commands. Each is imported only when it is called, so that all of them start fast."""

from importlib import import_module

import click
from click.shell_completion import CompletionItem

from dnslb import __version__

_COMMANDS = {
    "run": ("dnslb.cli.run", "Run the daemon, in the foreground."),
    "setup": ("dnslb.cli.setup", "Write a first configuration, by asking."),
    "check": ("dnslb.cli.check", "Check the configuration and its zones."),
    "demo": ("dnslb.cli.demo", "Show the whole product on this machine, with no set-up."),
    "status": ("dnslb.cli.status", "Show pools, members, services and workers."),
    "pool": ("dnslb.cli.status", "Show one pool: each member, and why it is published or not."),
    "drain": ("dnslb.cli.drain", "Take a member out of the answers, now or later; go on probing it."),
    "ready": ("dnslb.cli.member", "Put a member back."),
    "maint": ("dnslb.cli.member", "Take a member out of the answers while any other is left."),
    "weight": ("dnslb.cli.member", "Change a member's weight until further notice."),
    "probe": ("dnslb.cli.probe", "Look at one server now: the conversation, the certificate, the verdict."),
    "explain": ("dnslb.cli.explain", "Show why a name is answered as it is, and what clients do with that."),
    "plan": ("dnslb.cli.plan", "Show what changes would do, without making them."),
    "simulate": ("dnslb.cli.simulate", "Show the shares of the mail that members really get."),
    "reload": ("dnslb.cli.reload", "Read the configuration again, without a restart."),
    "events": ("dnslb.cli.events", "Show what happened: state changes, admin actions, reloads."),
    "top": ("dnslb.cli.top", "Watch pools, members, rates and events on the whole screen; drain by keys."),
    "completion": ("dnslb.cli.completion", "Print what makes bash, zsh or fish complete all this."),
    "man": ("dnslb.cli.man", "Write manual pages of all commands into a directory."),
    "version": ("dnslb.cli.version", "Show the version of this command and of the running daemon."),
}


class _Commands(click.Group):
    """The table above as a click group."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 -- click's signature
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 -- click's signature
        if cmd_name not in _COMMANDS:
            return None
        module, _help = _COMMANDS[cmd_name]
        command: click.Command = getattr(import_module(module), cmd_name)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 -- click's signature
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_module, text) in _COMMANDS.items()])

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] not in _COMMANDS and not args[0].startswith("-") and not ctx.resilient_parsing:
            ctx.fail(f"There is no command {args[0]!r}.{_hint(args[0])}")
        return super().resolve_command(ctx, args)

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Return the commands that begin so, without importing them, and the options."""
        found = [
            CompletionItem(name, help=text) for name, (_, text) in _COMMANDS.items() if name.startswith(incomplete)
        ]
        return found + super(click.Group, self).shell_complete(ctx, incomplete)


def _hint(word: str) -> str:
    from difflib import get_close_matches  # noqa: PLC0415 -- only after a mistake

    close = get_close_matches(word, _COMMANDS, n=1)
    return f" Did you mean {close[0]!r}?" if close else ""


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="dnslb")
def cli() -> None:
    """Balance mail over servers by DNS.

    dnslb probes your mail servers and answers MX, A, AAAA and SRV queries with those that work.

    \b
    First look:      dnslb demo
    Start:           dnslb setup && dnslb run
    Before a reboot: dnslb drain inbound/mx1 --reason "new kernel"
    Afterwards:      dnslb ready inbound/mx1

    Exit status: 0 done, 1 the thing asked for failed, 2 usage or configuration error, 3 the daemon cannot be reached.
    """  # noqa: D301 -- click's mark for a paragraph to be left as it is


def main() -> None:
    """Run the command that the process was started with, and exit."""
    cli(prog_name="dnslb")
