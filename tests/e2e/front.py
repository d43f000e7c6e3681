"""Port 53 of one more address for a DNS server that listens elsewhere: passes on UDP queries and their answers.

Run as `python front.py ADDRESS PORT`: what comes to ADDRESS, port 53, is asked of 127.0.0.1, port PORT. BIND needs
that: it listens only on addresses that interfaces have by name, and of the loopback network that is 127.0.0.1 alone.
"""

from __future__ import annotations

import select
import socket
import sys

_LONGEST = 4096


def _serve(front: socket.socket, server: tuple[str, int]) -> None:
    """Ask each question on a socket of its own, and pass back what comes there."""
    poll = select.poll()
    poll.register(front, select.POLLIN)
    asked: dict[int, tuple[socket.socket, tuple[str, int]]] = {}
    while True:
        for descriptor, _ in poll.poll():
            if descriptor == front.fileno():
                query, client = front.recvfrom(_LONGEST)
                question = socket.socket(type=socket.SOCK_DGRAM)
                question.connect(server)
                question.send(query)
                asked[question.fileno()] = (question, client)
                poll.register(question, select.POLLIN)
            else:
                poll.unregister(descriptor)
                question, client = asked.pop(descriptor)
                with question:
                    front.sendto(question.recv(_LONGEST), client)


if __name__ == "__main__":
    with socket.socket(type=socket.SOCK_DGRAM) as _front:
        _front.bind((sys.argv[1], 53))
        _serve(_front, ("127.0.0.1", int(sys.argv[2])))
