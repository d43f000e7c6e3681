"""`dnslb setup`: a first configuration, by asking or wholly from options.

draft: what a person wants, as values. reading: how each of them is typed. dialogue: the questions. files: the text of
the configuration and of the zone. following: what to do next. trial: both files loaded, and the servers probed, before
anything is written. writing: the files, whole or not at all. command: the words typed.
"""

from dnslb.cli.setup.command import setup

__all__ = ["setup"]
