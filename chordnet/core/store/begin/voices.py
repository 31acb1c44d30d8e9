"""Whether a node without a formation has heard enough of one to join it.

It joins for ever, so one node's word is not enough where there are more to be heard: a node that
lies could keep every newcomer for a store that does not exist. A founder that this node was told
of is believed. So are two nodes that say the same, or the only neighbour. A node with several
neighbours of which only one speaks believes it after a while, if nobody says something else. One
that was told of founders, and hears none of them, waits longer, even for its only neighbour: it may
be cut off from all others. A node whose own store is empty, and has no other founder, gives that up
for another one. It does so for the word of a founder of either, and waits as long for a second
voice.
"""

from __future__ import annotations

from collections.abc import Sequence

from chordnet.core.store.base.founding import Founding
from chordnet.core.store.begin.founders import Founders

PATIENCE_S = 5.0
"""For so long a node waits for a second voice."""
ALONE_S = 30.0
"""The same of a node that was told of founders, and has heard none of them."""
MOST_VOICES = 64
"""Nodes of which is remembered which formation they named."""


class Voices:
    """What others have said, until this node belongs to a formation.

    :param founders: the names that this node was told of, without its own.
    """

    def __init__(self, founders: Sequence[str]) -> None:
        self._founders = founders
        self._said: dict[str, bytes] = {}
        self._since: float | None = None

    @property
    def heard(self) -> bool:
        """Whether anybody has named a formation."""
        return bool(self._said)

    def suffice(
        self,
        founders: Founders,
        sender: str,
        named: Founding | None,
        near: Sequence[str],
        now: float,
    ) -> bool:
        """Return False if others have to say the same before this node joins what is named."""
        own = founders.founding
        if named is None or named == own or (own is None and founders.vote is not None):
            return True
        if own is not None and not (founders.empty and len(own.founders) == 1):
            return True  # it will not be given up
        if own is not None:
            both = (*own.founders, *named.founders)
            if sender in [each.node for each in both]:
                return True
        return self.agree(sender, named.id, near, now, patient=own is not None)

    def agree(
        self,
        sender: str,
        formation: bytes,
        near: Sequence[str],
        now: float,
        *,
        patient: bool = False,
    ) -> bool:
        """Take what a node says; return True if its formation can be joined.

        :param near: the neighbours of this node.
        :param patient: wait longer for a second voice, even if there is only one neighbour.
        """
        self._since = now if self._since is None else self._since
        self._said.pop(sender, None)
        if len(self._said) >= MOST_VOICES:
            del self._said[next(iter(self._said))]
        self._said[sender] = formation
        same = [node for node, said in self._said.items() if said == formation]
        alone = len(same) == len(self._said)
        if sender in self._founders or len(same) > 1:
            return True
        if patient or self._founders:  # where are they?
            return alone and now >= self._since + ALONE_S
        return alone and (set(near) <= {sender} or now >= self._since + PATIENCE_S)
