"""The controller: builds everything, wires it, starts and stops it."""

from dnslb.daemon.process import run

__all__ = ["run"]
