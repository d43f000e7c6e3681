"""`dnslb completion`."""

import click
from click.shell_completion import ShellComplete, get_completion_class

from dnslb.cli.output import emit

_SHELLS = ("bash", "zsh", "fish")


@click.command
@click.argument("shell", type=click.Choice(_SHELLS))
def completion(shell: str) -> None:
    """Print what makes a shell complete commands, options, pools and members.

    The names of members come from the running daemon, or from the configuration.

    \b
    Example: dnslb completion bash > ~/.local/share/bash-completion/completions/dnslb
             dnslb completion zsh > ~/.zfunc/_dnslb        (a directory of $fpath, before compinit)
             dnslb completion fish > ~/.config/fish/completions/dnslb.fish
    """  # noqa: D301 -- click's mark for a paragraph to be left as it is
    made = get_completion_class(shell)
    assert made is not None  # noqa: S101 -- click knows these three
    script = made(click.get_current_context().find_root().command, {}, "dnslb", "_DNSLB_COMPLETE")
    # Not that of bash's own class, which runs bash to see how old it is: a package is built without one.
    emit(ShellComplete.source(script))
