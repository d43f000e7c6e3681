"""`dnslb probe`: one conversation with one mail server, shown as it went.

place: HOST[:PORT] as typed. wishes: what the options ask for, and what contradicts itself. alone: a probe without a
daemon. text: the transcript, the certificate and the verdict for people. waiting: a sign of life. command: the words
typed.
"""

from dnslb.cli.probe.command import probe

__all__ = ["probe"]
