"""What the garbage collector of a worker looks at: not at a snapshot, which has no cycles and may be large.

`gc.freeze` has it look no more at anything that there is. That includes TCP connections, and asyncio's transports point
at themselves: when they are gone, only the collector could find them. So when there are many of those, it looks at
everything once.
"""

import gc

from dnslb.server.tcp import Connections

MOST_STRANDED = 256
"""Connections that are gone and still take memory, two kilobytes each."""


def settle(connections: Connections) -> None:
    """Have the collector look no more at what there is now: at a new snapshot, above all."""
    if connections.stranded > MOST_STRANDED:
        gc.unfreeze()
        gc.collect()
        connections.stranded = 0
    gc.freeze()
    connections.strand()
