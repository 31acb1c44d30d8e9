"""Where a node is in its life.

::

    unjoined --> joining --> active --> leaving --> left
        |  ^        |  ^        ^
        |  +--------+  |        |
        +---> forming -+--------+

- *unjoined*: in no ring; asks its bootstrap peers; answers pings and "I am unjoined".
- *joining*: a peer that is in a ring was found; the place in that ring is being looked up.
- *forming*: nobody it reaches is in a ring and it is the smallest of them; about to create one.
- *active*: a member: has a predecessor and a successor (both itself in a ring of one).
- *leaving*: has told its neighbours, still serves for a short while.
- *left*: does nothing any more.

A node may leave from every state. Whatever is not in :data:`TRANSITIONS` is a defect of ours.
"""

from __future__ import annotations

from chordnet.core.errors import LocalProtocolError
from chordnet.core.messages import Status

TRANSITIONS: dict[Status, frozenset[Status]] = {
    Status.UNJOINED: frozenset({Status.JOINING, Status.FORMING, Status.ACTIVE, Status.LEAVING}),
    Status.JOINING: frozenset({Status.UNJOINED, Status.ACTIVE, Status.LEAVING}),
    Status.FORMING: frozenset({Status.UNJOINED, Status.JOINING, Status.ACTIVE, Status.LEAVING}),
    Status.ACTIVE: frozenset({Status.LEAVING}),
    Status.LEAVING: frozenset({Status.LEFT}),
    Status.LEFT: frozenset(),
}

MEMBER = frozenset({Status.ACTIVE, Status.LEAVING})
"""The states in which a node has pointers and handles lookups."""


def check(old: Status, new: Status) -> None:
    """Make sure that ``old`` may become ``new``.

    :raises LocalProtocolError: it may not.
    """
    if new not in TRANSITIONS[old]:
        raise LocalProtocolError(
            f"a node that is {old.name.lower()} cannot become {new.name.lower()}"
        )
