"""`dnslb simulate`: the shares that members really get, before anybody sends them mail.

words: what is typed as one word. subject: the service and the pool, from a configuration or from weights. text: the
tables for people. chart: a picture. progress: a sign of life. command: the words typed.
"""

from dnslb.cli.simulate.command import simulate

__all__ = ["simulate"]
