"""`dnslb demo`: the whole product on loopback, with three mail servers of which one dies now and then.

scene: names, addresses, files. mail: the servers. daemon: the child process. lookup: real DNS queries. story: what
happened, told by answers. script: who dies when. view: what a terminal shows. audience: terminal, lines or JSON.
performance: all of them together. command: the words typed.
"""

from dnslb.cli.demo.command import demo

__all__ = ["demo"]
