"""What goes with answers that are not what they should be: extended errors (RFC 8914), for who looks into it.

A pool that must not answer gets OTHER: the codes for servers that are not ready or not reached (14, 22) are said of
name servers, and ours is both.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from dnslb.wire.options import InfoCode, extended_error

if TYPE_CHECKING:
    # A worker needs this module, and nothing of the pools: it starts sooner without them.
    from dnslb.answer.snapshot import Answers, Rotation, Snapshot
    from dnslb.pool.selection import Selection

PANIC = extended_error(InfoCode.OTHER, "health is ignored: too few members are healthy")
SILENCE = extended_error(InfoCode.OTHER, "no member is healthy")
STALE = extended_error(InfoCode.STALE_ANSWER)


def notice_of(selection: Selection) -> bytes:
    """Return what goes with the answers that a pool decides, b"" while all is well."""
    if not selection.published:
        return SILENCE
    if selection.kept:
        return STALE
    return PANIC if selection.panic else b""


def stale(snapshot: Snapshot) -> Snapshot:
    """Return a snapshot that says of all that pools decide that it is old: nobody tells us any more how they are.

    It is not ready to be answered from (see `made_ready`).
    """
    names = {owner: _aged(answers) for owner, answers in snapshot.names.items()}
    return replace(snapshot, names=names, ready={})


def _aged(answers: Answers) -> Answers:
    # All views have the same services: what no pool decides for all others, none decides for them.
    if not any(rotation.key for rotation in answers.values()):
        return answers
    return {tail: _aged_one(rotation) for tail, rotation in answers.items()}


def _aged_one(rotation: Rotation) -> Rotation:
    """Mark a rotation and those of its views; an error that a pool wants is said as it is, however old."""
    views = rotation.views and {view: _aged_one(there) for view, there in rotation.views.items()}
    is_old = rotation.key and rotation.ring and STALE not in rotation.notice
    return rotation._replace(views=views, notice=rotation.notice + STALE if is_old else rotation.notice)
