"""`dnslb top`: a live view on the whole screen.

model: what is known and chosen. keys: what keys make of that. picture: the lines that show it. feed: the daemon, asked
in a thread of its own. terminal: the screen and the keyboard. screen: all of them together. snapshots: the same for
programs. command: the words typed.
"""

from dnslb.cli.top.command import top

__all__ = ["top"]
