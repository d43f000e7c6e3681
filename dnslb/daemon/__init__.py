"""The controller: builds everything, wires it, starts and stops it."""

from dnslb.daemon.controller import run

__all__ = ["run"]
