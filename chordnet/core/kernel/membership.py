"""The states of a node's life, and which messages it takes in each.

::

    unjoined --> joining --> active --> leaving --> left
      |  ^ ^        |  ^      ^ |
      |  | +--------+  |      | +----> superseded
      |  |             |      |
      |  +-> forming --+------+
      +----> seeking ---------+

- *unjoined*: in no ring; asks its bootstrap peers; answers pings and "I am unjoined".
- *seeking*: has peers, but has met no node in this life; goes on asking, creates no ring.
- *joining*: a peer that is in a ring was found; the place in that ring is being looked up.
- *forming*: no node that it reaches is in a ring, and it has the smallest identifier; about to
  create a ring.
- *active*: a member: has a predecessor and a successor (both itself in a ring of one).
- *leaving*: has told its neighbours, still serves for a short while.
- *left*: does nothing any more.
- *superseded*: another node has its name, and keeps it; in no ring for the rest of this life.

A node may leave in every state, and be superseded in every state before that. A transition that is
not in :data:`TRANSITIONS` is a defect of ours. :data:`HEEDED` says which message is taken in which
state.
"""

from __future__ import annotations

from chordnet.core.base import messages as msg
from chordnet.core.base.errors import LocalProtocolError
from chordnet.core.base.messages import Status

_ENDS = (Status.LEAVING, Status.SUPERSEDED)

TRANSITIONS: dict[Status, frozenset[Status]] = {
    Status.UNJOINED: frozenset(
        {Status.JOINING, Status.FORMING, Status.SEEKING, Status.ACTIVE, *_ENDS}
    ),
    Status.SEEKING: frozenset({Status.UNJOINED, Status.ACTIVE, *_ENDS}),
    Status.JOINING: frozenset({Status.UNJOINED, Status.ACTIVE, *_ENDS}),
    Status.FORMING: frozenset({Status.UNJOINED, Status.JOINING, Status.ACTIVE, *_ENDS}),
    Status.ACTIVE: frozenset({*_ENDS}),
    Status.LEAVING: frozenset({Status.LEFT}),
    Status.LEFT: frozenset(),
    Status.SUPERSEDED: frozenset({Status.LEAVING}),
}

MEMBER = frozenset({Status.ACTIVE, Status.LEAVING})
"""The states in which a node has pointers and handles lookups."""

_ALWAYS = frozenset(Status)
_ACTIVE = frozenset({Status.ACTIVE})

HEEDED: dict[type, frozenset[Status]] = {
    # Outside a ring, a node would claim to cover what it cannot reach.
    msg.Bcast: MEMBER,
    msg.Covered: _ALWAYS,
    msg.MarkedBcast: MEMBER,
    msg.MarkedCovered: _ALWAYS,
    msg.Ack: _ALWAYS,
    msg.Bodies: _ALWAYS,
    # A node in no ring answers that it is in none.
    msg.Find: _ALWAYS,
    msg.Found: _ALWAYS,
    msg.FindFailed: _ALWAYS,
    msg.FindNext: _ALWAYS,
    msg.Next: _ALWAYS,
    msg.Ping: _ALWAYS,
    msg.Pong: _ALWAYS,
    msg.GetState: _ALWAYS,
    msg.State: _ALWAYS,
    # A node that leaves no longer maintains its own pointers.
    msg.Notify: _ACTIVE,
    msg.Changed: _ACTIVE,
    msg.FingerHint: _ACTIVE,
    # A node that leaves is as good as dead, also for a node that is about to join.
    msg.Leaving: _ALWAYS,
    msg.TryMerge: _ALWAYS,
    msg.Compare: _ALWAYS,
    msg.Have: _ALWAYS,
    msg.Want: _ALWAYS,
    msg.Caught: _ALWAYS,
    msg.MarkedCaught: _ALWAYS,
    msg.Lost: _ALWAYS,
    msg.Given: _ALWAYS,
    # A node that leaves hands over what it holds.
    msg.StoreMail: MEMBER,
}
"""The states in which a message is taken; in the others it is dropped."""


def check(old: Status, new: Status) -> None:
    """Make sure that ``old`` may become ``new``.

    :raises LocalProtocolError: it may not.
    """
    if new not in TRANSITIONS[old]:
        raise LocalProtocolError(
            f"a node that is {old.name.lower()} cannot become {new.name.lower()}"
        )
